"""A provider that can be commanded: its own process, which imports nothing of the house.

It speaks OpenAI chat completions, OpenAI Responses and Anthropic messages, streamed and not, and OpenAI embeddings; it answers by a
script, takes as long as it is told to, and counts every call by its content, so that a test can ask what was paid for.

Read in this order: `provider.py` (what happens to a call), `formats/` (the providers' JSON), `script.py` and `pace.py`
(what is answered, and when), `tally.py` (what is counted), `meter.py` over `limits.py`, `buckets.py` and `books.py` (what a key may
use, and used), `faults.py` (what goes wrong), `wire.py` (HTTP), `command.py` (flags and the process).
"""

from dayshift.fakellm.command import main

__all__ = ["main"]
