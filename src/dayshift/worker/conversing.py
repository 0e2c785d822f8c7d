"""The conversation of a task, as its agent is given it: reads wait while the ledger is away, as all that an attempt needs."""

from dayshift.agents import Conversation, Effects
from dayshift.domain.patience import until_answered
from dayshift.domain.task import Started
from dayshift.journal import Page
from dayshift.journal.journal import Journal


def conversation_of(started: Started, journal: Journal, effects: Effects) -> Conversation | None:
    """None for a task outside of conversations."""
    if started.conversation is None:
        return None
    history = journal.history(started.tenant, started.conversation)

    async def read(up_to_seq: int | None, last: int | None) -> Page:
        return await until_answered(lambda: history.read(up_to_seq, last))

    return Conversation(started.conversation, effects, read)
