"""The journal of a task: what its agent did, so that a later attempt is given the results instead of doing it again.

`journal.journal.Journal` is the service of a process; it opens an `AttemptJournal` for each attempt, which answers whether
something was done before and records what is done now. To read: domain/effect.py, ledger/effects.py, then keys, attempt,
journal. The service is not named here: it brings the ledger along, and `import dayshift` in an author's file must not.
"""

from dayshift.journal.attempt import AttemptJournal
from dayshift.journal.divergence import Divergence
from dayshift.journal.history import Page
from dayshift.journal.keys import Call, call_of, call_of_digest, canonical_json, scope_within
from dayshift.journal.results import pack, unpack
from dayshift.journal.unsettled import Draft
from dayshift.journal.writer import Nowhere, Writer

__all__ = [
    "AttemptJournal",
    "Call",
    "Divergence",
    "Draft",
    "Nowhere",
    "Page",
    "Writer",
    "call_of",
    "call_of_digest",
    "canonical_json",
    "pack",
    "scope_within",
    "unpack",
]
