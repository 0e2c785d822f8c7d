"""Whose turn it is in a conversation once the task before has ended.

The ledger says with each end whether somebody waits behind it. Who that is takes one more query, asked for all
conversations that ended a task during the query before. While the ledger is away the question is kept: without its
answer a conversation would stand still until maintenance finds it.
"""

import asyncio

from dayshift.domain.patience import until_answered
from dayshift.domain.task import Place
from dayshift.ledger import Ledger
from dayshift.tasks.background import Background
from dayshift.tasks.outbox import Outbox

_MOST_A_QUERY = 500


class NextInLine:
    """Queues the next task of conversations in the hot plane."""

    def __init__(self, ledger: Ledger, outbox: Outbox, background: Background) -> None:
        self._ledger = ledger
        self._outbox = outbox
        self._background = background
        self._conversations: set[tuple[str, str]] = set()
        self._idle = asyncio.Event()
        self._idle.set()

    def call(self, tenant: str, conversation: str | None) -> None:
        """The conversation has room for its next task."""
        if conversation is None:
            return
        self._conversations.add((tenant, conversation))
        if self._idle.is_set():
            self._idle.clear()
            self._background.spawn(self._call_all(), where="tasks.next_in_line")

    async def called(self) -> None:
        """Wait until everybody who was called has a place in the outbox."""
        await self._idle.wait()

    async def _call_all(self) -> None:
        try:
            while self._conversations:
                for place in await self._heads_of(sorted(self._conversations)[:_MOST_A_QUERY]):
                    self._outbox.place(place)
        finally:
            self._idle.set()

    async def _heads_of(self, conversations: list[tuple[str, str]]) -> list[Place]:
        self._conversations.difference_update(conversations)
        return await until_answered(lambda: self._ledger.tasks.conversation_heads(conversations))
