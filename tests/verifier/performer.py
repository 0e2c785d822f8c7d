"""Does what a score says, as an agent would: through the context, the tools and the provider's own client.

One performer serves async and plain agents. What the context answers is awaited where it can be; in a plain agent's thread
it is the value itself, so the performer runs to its end without ever giving way (`drive`).
"""

import asyncio
import functools
import inspect
import json
import os
import time
from collections.abc import Callable, Coroutine
from typing import TYPE_CHECKING, Any

from msgspec import Struct

from dayshift import ChildFailed, Context, NotPerformed, current, tool
from tests.verifier import witness
from tests.verifier.errand import Errand, called_by
from tests.verifier.score import (
    CHILD_FAILED,
    LAPSED,
    SLEPT,
    AnyMove,
    Ask,
    Call,
    Draw,
    Gather,
    Hear,
    Lapse,
    Once,
    Say,
    Score,
    Sleep,
    Step,
    Tool,
    branch,
    joined,
    link,
    place,
    word,
)

if TYPE_CHECKING:
    from openai import OpenAI

MODEL = "gpt-4o-mini"
MARK_HEADER = "x-verifier-mark"


async def act(label: str, move_id: str, ms: int, chain: str) -> str:
    await asyncio.sleep(ms / 1000)
    async with witness.line(current(), label) as line:
        told = await line.mark("act", what=move_id, given=chain)
    return word(label, move_id, told["order"])


def plain_act(label: str, move_id: str, ms: int, chain: str) -> str:
    time.sleep(ms / 1000)
    with witness.plain_line(current(), label) as line:
        told = line.mark("act", what=move_id, given=chain)
    return word(label, move_id, told["order"])


async def find_out(label: str, move_id: str, ms: int, chain: str) -> str:
    """Ask the witness whether it was done. Raises NotPerformed."""
    async with witness.line(current(), label) as line:
        told = await line.mark("look", what=move_id, given=chain)
    return _found(label, move_id, told)


def plain_find_out(label: str, move_id: str, ms: int, chain: str) -> str:
    with witness.plain_line(current(), label) as line:
        told = line.mark("look", what=move_id, given=chain)
    return _found(label, move_id, told)


def _found(label: str, move_id: str, told: dict[str, Any]) -> str:
    if told["acted"] is None:
        raise NotPerformed
    return word(label, move_id, told["acted"])


async def ask(label: str, move: Ask, chain: str) -> str:
    ctx = current()
    answer: Any = await ctx.openai().chat.completions.create(**_question(ctx, label, move, chain))
    if not move.is_streamed:
        return str(answer.choices[0].message.content)
    return "".join([chunk.choices[0].delta.content or "" async for chunk in answer if chunk.choices])


def plain_ask(label: str, move: Ask, chain: str) -> str:
    answer: Any = _plain_client().chat.completions.create(**_question(current(), label, move, chain))
    if not move.is_streamed:
        return str(answer.choices[0].message.content)
    return "".join(chunk.choices[0].delta.content or "" for chunk in answer if chunk.choices)


def _question(ctx: Context, label: str, move: Ask, chain: str) -> dict[str, Any]:
    """The attempt is told in a header, which is no part of what is asked."""
    mark = {"label": label, "what": move.id, "given": chain, "task_id": ctx.task_id, "attempt": ctx.attempt}
    return {
        "model": MODEL,
        "messages": [{"role": "user", "content": f"{place(label, move.id)} after {chain}"}],
        "stream": move.is_streamed,
        "extra_headers": {MARK_HEADER: json.dumps({**mark, "pid": os.getpid()})},
    }


@functools.cache
def _plain_client() -> "OpenAI":
    from openai import OpenAI

    return OpenAI()


class Hands(Struct, frozen=True):
    """What differs between the two worlds. `tool` may be done again, `once` must not."""

    act: Callable[..., Any]
    tool: Callable[..., Any]
    once: Callable[..., Any]
    ask: Callable[..., Any]


ASYNC = Hands(
    act,
    tool(idempotent=True, name="act")(act),
    tool(idempotent=False, name="act_once", unknown=find_out)(act),
    ask,
)
PLAIN = Hands(
    plain_act,
    tool(idempotent=True, name="act")(plain_act),
    tool(idempotent=False, name="act_once", unknown=plain_find_out)(plain_act),
    plain_ask,
)


class Performer:
    """Performs the score of one attempt. `agents` are those that it may call, by name."""

    def __init__(self, ctx: Context, label: str, hands: Hands, agents: dict[str, Callable[..., Any]]) -> None:
        self._ctx = ctx
        self._label = label
        self._hands = hands
        self._agents = agents

    async def perform(self, score: Score, chain: str) -> str:
        """The chain at the end."""
        for move in score:
            chain = link(chain, await self._do(move, chain))
        return chain

    async def _do(self, move: AnyMove, chain: str) -> str:
        ctx, label, hands = self._ctx, self._label, self._hands
        match move:
            case Step(id=move_id, ms=ms):
                return await _settled(ctx.step(hands.act, label, move_id, ms, chain))
            case Tool(id=move_id, ms=ms):
                return await _settled(hands.tool(label, move_id, ms, chain))
            case Once(id=move_id, ms=ms):
                return await _settled(hands.once(label, move_id, ms, chain))
            case Draw(id=move_id):
                ms = ctx.uuid().int % 100
                return await _settled(ctx.step(hands.act, label, move_id, ms, chain))
            case Ask():
                return await _settled(hands.ask(label, move, chain))
            case Sleep(ms=ms):
                await _settled(ctx.sleep(ms / 1000))
                return SLEPT
            case Hear(name=name):
                return await _settled(ctx.wait_for(name))
            case Lapse(id=move_id, ms=ms):
                return await self._lapse(move_id, ms)
            case Say(id=move_id):
                return await self._say(move_id)
            case Call():
                return await self._call(move)
            case Gather(branches=branches):
                scores = [self.perform(score, branch(chain, number)) for number, score in enumerate(branches)]
                return joined(await ctx.gather(*scores))

    async def _lapse(self, move_id: str, ms: int) -> str:
        try:
            heard: str = await _settled(self._ctx.wait_for(f"never-{move_id}", timeout=ms / 1000))
        except TimeoutError:
            return LAPSED
        return heard

    async def _say(self, move_id: str) -> str:
        conversation = self._ctx.conversation
        assert conversation is not None
        await _settled(conversation.append({"role": "assistant", "content": place(self._label, move_id)}))
        return joined(message["content"] for message in await _settled(conversation.messages()))

    async def _call(self, move: Call) -> str:
        child = called_by(Errand(label=self._label), move)
        try:
            result: str = await _settled(self._ctx.call(self._agents[child.agent], **child.input()))
        except ChildFailed:
            return CHILD_FAILED
        return result


def drive(performing: Coroutine[Any, Any, str]) -> str:
    """Run it in a plain agent's thread, where nothing that it awaits ever suspends."""
    try:
        performing.send(None)
    except StopIteration as done:
        return str(done.value)
    raise AssertionError("a plain agent was given something to await")


async def _settled(value: Any) -> Any:
    return await value if inspect.isawaitable(value) else value
