"""`ledger.conversations`: what was said, and which conversations there are.

Tasks append through their journal (`record_effects` writes the effect and the message in one statement); here it is read,
listed and erased. Bodies are as `journal/` packs results.

**Erasing.** A conversation with unfinished tasks is not erased: they may append. Whether it has some is asked with its row
locked, which each accept, start and end of its tasks needs; and the messages are deleted by a statement of their own after
that, since one that began before the lock was given would not see the last of them.
"""

from collections.abc import Sequence

import asyncpg

from dayshift.domain import ids
from dayshift.domain.errors import Conflict, FieldError, InvalidInput, NotFound
from dayshift.ledger.database import Database
from dayshift.ledger.rows import bare
from dayshift.ledger.rows import task_id as public_task_id
from dayshift.ledger.shapes import ConversationRow, IdleSweep, MessageRow
from dayshift.ledger.statements import SQL

BEFORE_ALL: tuple[str, str] = ("", "")
_BEHIND_ALL = 2**63 - 1


class Conversations:
    """Conversations of a tenant, by their names."""

    def __init__(self, database: Database) -> None:
        self._db = database

    async def create(self, tenant: str, name: str, messages: Sequence[bytes]) -> ConversationRow:
        """Make a conversation that begins with these messages. Raises Conflict (code `conversation_exists`)."""
        identities = [bare(ids.new(ids.MESSAGE)) for _ in messages]
        row = await self._db.fetch_one("create_conversation", tenant, name, identities, list(messages))
        if row is None:
            raise Conflict(f"There is a conversation {name!r} already.", code="conversation_exists")
        return _to_conversation(row)

    async def get(self, tenant: str, name: str) -> ConversationRow | None:
        """One conversation; None if there is none (any more)."""
        row = await self._db.fetch_one("get_conversation", tenant, name)
        return None if row is None else _to_conversation(row)

    async def list(self, tenant: str, *, limit: int, after: str | None = None) -> Sequence[ConversationRow]:
        """Newest first. After a conversation that is gone comes nothing."""
        if after is None:
            rows = await self._db.fetch("list_conversations", tenant, limit)
        else:
            rows = await self._db.fetch("list_conversations_after", tenant, limit, after)
        return [_to_conversation(row) for row in rows]

    async def latest(
        self, tenant: str, name: str, *, limit: int, up_to_seq: int | None = None, before: str | None = None
    ) -> Sequence[MessageRow]:
        """The last messages, the latest first: up to a seq, or before the message of that id."""
        below = _BEHIND_ALL if up_to_seq is None else up_to_seq + 1
        if before is not None:
            below = await self._seq_of(tenant, name, before)
        rows = await self._db.fetch("messages_before", tenant, name, below, limit)
        return [_to_message(row) for row in rows]

    async def first(self, tenant: str, name: str, *, limit: int, after: str | None = None) -> Sequence[MessageRow]:
        """The first messages in order, behind the message of that id."""
        behind = 0 if after is None else await self._seq_of(tenant, name, after)
        return [_to_message(row) for row in await self._db.fetch("messages_after", tenant, name, behind, limit)]

    async def erase(self, tenant: str, name: str) -> None:
        """Delete a conversation with its history. Raises NotFound, and Conflict while it has unfinished tasks."""
        async with self._db.transaction() as connection:
            row = await connection.fetchrow(SQL["lock_conversation"], tenant, name)
            if row is None:
                raise NotFound(f"There is no conversation {name!r}.")
            if row["unfinished"]:
                raise Conflict(
                    f"Conversation {name!r} has {row['unfinished']} unfinished tasks. Wait for their end, or cancel them first.",
                    code="conversation_busy",
                )
            await connection.execute(SQL["erase_conversation"], tenant, name)

    async def forget_idle(
        self,
        idle_seconds: float,
        *,
        history_seconds: float | None = None,
        after: tuple[str, str] = BEFORE_ALL,
        limit: int = 2_000,
    ) -> IdleSweep:
        """Look at the conversations behind one of them (tenant, name), and delete those that nobody has used for so long.

        One with a history goes after `history_seconds`; None: never.
        """
        row = await self._db.fetch_one("forget_idle_conversations", idle_seconds, history_seconds, *after, limit)
        if row is None:
            return IdleSweep(forgotten=0, next=None)
        last = (row["tenant"], row["name"])
        return IdleSweep(forgotten=row["forgotten"], next=last if row["looked_at"] == limit else None)

    async def _seq_of(self, tenant: str, name: str, message_id: str) -> int:
        if ids.is_valid(ids.MESSAGE, message_id):
            row = await self._db.fetch_one("seq_of_message", tenant, name, bare(message_id))
            if row is not None:
                return int(row["seq"])
        fault = FieldError("after", "must be the id of a message of this conversation, as a list gave it")
        raise InvalidInput(f"after {fault.message}", [fault], code="invalid_query")


def _to_conversation(row: asyncpg.Record) -> ConversationRow:
    return ConversationRow(
        name=row["name"],
        created_at=row["created_at"],
        touched_at=row["touched_at"],
        unfinished=row["unfinished"],
        holder=None if row["holder"] is None else public_task_id(row["holder"]),
    )


def _to_message(row: asyncpg.Record) -> MessageRow:
    return MessageRow(
        id=f"{ids.MESSAGE}{row['id']}",
        seq=row["seq"],
        task_id=None if row["task_id"] is None else public_task_id(row["task_id"]),
        created_at=row["created_at"],
        body=row["body"],
    )
