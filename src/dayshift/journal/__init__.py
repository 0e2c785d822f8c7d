"""The journal of a task: what its agent did, so that a later attempt is given the results instead of doing it again.

`Journal` is the service of a process; it opens an `AttemptJournal` for each attempt, which answers whether something was
done before and records what is done now. To read: domain/effect.py, ledger/effects.py, then keys, attempt, journal.
"""

from dayshift.journal.attempt import AttemptJournal, Draft
from dayshift.journal.divergence import Divergence
from dayshift.journal.journal import Journal
from dayshift.journal.keys import Call, call_of, canonical_json, scope_within
from dayshift.journal.results import pack, unpack

__all__ = [
    "AttemptJournal",
    "Call",
    "Divergence",
    "Draft",
    "Journal",
    "call_of",
    "canonical_json",
    "pack",
    "scope_within",
    "unpack",
]
