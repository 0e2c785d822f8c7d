"""Starts: the ledger decides whether an attempt may run, and this tells everybody what it said."""

from dayshift.domain.task import Started
from dayshift.ledger import StartRefusal


class Starting:
    async def start(self, task_id: str, worker_id: str, *, quarantine: bool = False) -> Started | StartRefusal:
        """Ask the ledger for the next attempt; waits while the ledger is away.

        A grant is announced on the stream. A refusal has been handed to the hot plane already: the caller drops the
        task (and for the reason `quarantine` starts it again in a process of its own, saying `quarantine=True`; the
        claim stays its own). A caller that is cancelled while it waits needs to do nothing: a grant that comes later
        is given back.
        """
        raise NotImplementedError
