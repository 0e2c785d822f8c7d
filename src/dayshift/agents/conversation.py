"""`ctx.conversation`: what was said before, and what is said now, both through the journal.

`append` is an effect whose result is the message: recorded and added to the history in one transaction. A later attempt
that appends the same finds it, and adds nothing.

`messages` is a drawn value: how long the history was. It costs no commit of its own, and a later attempt that asks again is
given the history as it was then, without what was added since.

One at a time: messages that are appended side by side stand in the order in which they were asked for, and none is missing
before one that was read.
"""

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any

import msgspec

from dayshift.agents.effects import Effects, result_of, scope
from dayshift.agents.values import Unencodable, encode_value
from dayshift.domain.effect import Effect, EffectKind
from dayshift.domain.errors import WrongUse
from dayshift.journal import Call, Nowhere, Page, call_of, canonical_json, unpack

ReadHistory = Callable[[int | None, int | None], Awaitable[Page]]
"""Reads the messages up to a seq (None: all), or only the last so many of them."""


class Conversation:
    """The conversation that the task is a part of: its tasks run one at a time, in the order of their acceptance."""

    def __init__(self, name: str, effects: Effects, read: ReadHistory) -> None:
        self.name = name
        self._effects = effects
        self._read = read
        self._turn = asyncio.Lock()

    def __repr__(self) -> str:
        return f"<Conversation {self.name!r}>"

    def messages(self, *, last: int | None = None) -> Any:
        """What was said so far, the oldest first; or only the last so many messages.

        Await it in async code; a plain agent gets the list itself. A later attempt is given the same.
        """
        if last is not None and (isinstance(last, bool) or not isinstance(last, int) or last < 1):
            raise WrongUse(f"ctx.conversation.messages(last={last!r}): a whole number from 1")
        return self._do(lambda: _messages_call(last), lambda call: self._messages(call, last))

    def append(self, message: Any) -> Any:
        """Add a message to the history: any JSON value, normally `{"role": ..., "content": ...}`.

        Await it in async code. When it is done the message is there, once, whatever becomes of this attempt.
        """
        try:
            body = encode_value(message)
        except Unencodable as error:
            raise WrongUse(f"ctx.conversation.append: {error}") from None
        return self._do(lambda: _append_call(body), lambda call: self._append(call, body))

    def _do(self, name: Callable[[], Call], do: Callable[[Call], Any]) -> Any:
        """In async code an awaitable; in a plain agent's thread the result."""
        if self._effects.is_in_async_code():
            return _named_where_it_runs(name, lambda call: self._effects.written(do(call)))
        return self._effects.wait_for(do(name()))

    async def _messages(self, call: Call, last: int | None) -> list[Any]:
        journal = self._effects.journal
        async with self._turn:
            found = journal.take(call)
            if found is not None:
                page = await self._read(msgspec.json.decode(result_of(found), type=int), last)
            else:
                draft = journal.begin(call)
                page = await self._read(None, last)
                journal.drawn(draft, msgspec.json.encode(page.up_to_seq))
        return [msgspec.json.decode(message) for message in page.messages]

    async def _append(self, call: Call, body: bytes) -> None:
        journal = self._effects.journal
        async with self._turn:
            if await self._effects.take(call) is None:
                await journal.record(journal.begin(call), body)


class LocalHistory(Nowhere):
    """A history in memory, for code that runs outside of tasks; what its journal records comes by here."""

    def __init__(self) -> None:
        self._messages: list[bytes] = []

    async def write(self, effect: Effect, *, handed_on: bool = False, wait_seconds: float | None = None) -> Effect:
        if effect.kind == EffectKind.APPEND and effect.result is not None:
            self._messages.append(unpack(effect.result))
        return await super().write(effect, handed_on=handed_on, wait_seconds=wait_seconds)

    async def read(self, up_to_seq: int | None, last: int | None) -> Page:
        messages = self._messages[:up_to_seq]
        return Page(messages if last is None else messages[-last:], len(messages))


async def _named_where_it_runs(name: Callable[[], Call], do: Callable[[Call], Awaitable[Any]]) -> Any:
    """In the branch of a gather that it was given to, which is part of the key."""
    return await do(name())


def _messages_call(last: int | None) -> Call:
    content = canonical_json({"last": last})
    return call_of(EffectKind.VALUE, "messages", content, scope=scope.get(), parts={"last": content})


def _append_call(body: bytes) -> Call:
    return call_of(EffectKind.APPEND, "append", body, scope=scope.get(), parts={"message": body})
