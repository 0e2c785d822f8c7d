"""The history of a conversation, as the task that holds the conversation reads it.

A history only grows at its end, and only by the task that holds the conversation. So the seq of its last message names
the whole of it: an attempt that is given this seq again reads the same messages again, and of the many that there may be
nothing but a number lies in the journal.
"""

from typing import TYPE_CHECKING

from msgspec import Struct

from dayshift.journal.results import unpack

if TYPE_CHECKING:  # an author's file imports this room, and needs no ledger for it
    from dayshift.ledger import Ledger

READ_AT_ONCE = 500


class Page(Struct, frozen=True):
    """Messages as JSON, in order, and the seq of the last one that there was (0: none)."""

    messages: list[bytes]
    up_to_seq: int


class History:
    """Of one conversation of a tenant."""

    def __init__(self, ledger: "Ledger", tenant: str, name: str) -> None:
        self._conversations = ledger.conversations
        self._tenant = tenant
        self._name = name

    async def read(self, up_to_seq: int | None, last: int | None) -> Page:
        """The messages up to a seq (None: all), or only the last of them. Raises `LedgerAway`; safe to repeat."""
        messages: list[bytes] = []
        below, highest = up_to_seq, up_to_seq
        while last is None or len(messages) < last:
            limit = READ_AT_ONCE if last is None else min(READ_AT_ONCE, last - len(messages))
            rows = await self._conversations.latest(self._tenant, self._name, limit=limit, up_to_seq=below)
            if highest is None:
                highest = rows[0].seq if rows else 0
            messages += [unpack(row.body) for row in rows]
            if len(rows) < limit:
                break
            below = rows[-1].seq - 1
        return Page(messages[::-1], highest or 0)
