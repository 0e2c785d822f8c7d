"""Meets LLM calls below the clients that make them, so that no agent and no framework has to be changed.

core.py      what is done with a call: answered from the journal, or made and recorded. Knows no HTTP library
answers.py   an answer as it is kept
addresses.py which requests are calls at all
httpx.py     the two libraries that the official SDKs use, httpx and httpx2: async and plain, whole answers and streams
streams.py   a stream on its way, and one that is given again
threads.py   carries the task into the threads that an agent starts
unseen.py    warns of calls through libraries that are not captured
installing.py puts it into this process, and takes it out again
"""

from dayshift.llm.capture.addresses import Address, Addresses, place_of
from dayshift.llm.capture.answers import Answer
from dayshift.llm.capture.core import Recorder, current_recorder, record_calls_with
from dayshift.llm.capture.installing import capturing
from dayshift.llm.capture.threads import Jobs

__all__ = [
    "Address",
    "Addresses",
    "Answer",
    "Jobs",
    "Recorder",
    "capturing",
    "current_recorder",
    "place_of",
    "record_calls_with",
]
