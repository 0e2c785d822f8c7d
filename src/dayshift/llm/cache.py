"""The answer cache: equal calls are answered once, where the settings say so.

**What is equal** is what the journal calls equal: the canonical content, without what changes no answer. A tenant's answers are
its own, unless the setting shares them. **What may be kept**: calls that ask for the same answer each time (temperature 0,
embeddings), and those that say so by the header `dayshift-cache: yes`, which is taken out; `no` keeps any call out.

**Fresh and stale.** An answer is fresh for the setting's `ttl`. It is kept for longer, and apart: only a call whose targets are all
away, and whose model says `cached`, is given a stale one, and is told so by the header `dayshift-cached: stale`.

**One in flight.** Of equal calls in one process that are not streamed, one is made; the others take its answer, or are made if
it has none.
"""

import asyncio
from collections.abc import Awaitable, Callable
from contextvars import Context
from functools import partial
from typing import Literal

import msgspec
from msgspec import Struct

from dayshift.domain.clock import unix_ms
from dayshift.domain.effect import CallUsage
from dayshift.domain.errors import PlaneAway
from dayshift.domain.provider_settings import CacheSettings
from dayshift.hotplane import Plane
from dayshift.llm.capture.answers import Answer, kept_headers
from dayshift.llm.exchange import Headers, Incoming, LlmCall, Opening, Reply
from dayshift.llm.routing import CACHE_HEADER, Route

LARGEST_BYTES = 256 * 1024
STALE_SECONDS = 86_400.0

Means = Literal["hit", "stale"]


class _Kept(Struct, frozen=True, array_like=True):
    kept_at_ms: int
    answer: Answer


_encoder, _decoder = msgspec.msgpack.Encoder(), msgspec.msgpack.Decoder(_Kept)


class AnswerCache:
    """Of one process, over the plane that all share. Away, it finds nothing and keeps nothing."""

    def __init__(self, plane: Plane) -> None:
        self._plane = plane
        self._in_flight: dict[str, asyncio.Future[None]] = {}
        self._keeping: set[asyncio.Task[None]] = set()

    async def answer(
        self, route: Route, tenant: str, call: LlmCall, make: Callable[[], Awaitable[Reply | None]]
    ) -> Reply | None:
        """A fresh answer, or else the one that `make` gets, which is kept."""
        rule = route.cache
        if rule is None or not is_cacheable(call):
            return await make()
        name = _name(rule, route, tenant, call)
        if not call.question.streams:
            while (other := self._in_flight.get(name)) is not None:
                await asyncio.wait({other})
                if (found := await self._fresh(rule, name, call)) is not None:
                    return found
        elif (found := await self._fresh(rule, name, call)) is not None:
            return found
        return await self._made(rule, name, call, make)

    async def stale(self, route: Route, tenant: str, call: LlmCall) -> Reply | None:
        """What was once answered, however old."""
        if route.cache is None or not is_cacheable(call):
            return None
        kept = await self._kept(_name(route.cache, route, tenant, call))
        return None if kept is None else _reply(call, kept.answer, "stale")

    async def _made(
        self, rule: CacheSettings, name: str, call: LlmCall, make: Callable[[], Awaitable[Reply | None]]
    ) -> Reply | None:
        flight: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        if not call.question.streams:
            self._in_flight[name] = flight
        try:
            if not call.question.streams and (found := await self._fresh(rule, name, call)) is not None:
                return found
            reply = await make()
            if reply is None or reply.is_kept:  # a stale answer does not become a fresh one by being given
                return reply
            if reply.incoming.opening is not None:
                loop = asyncio.get_running_loop()
                keep = partial(self._keep_soon, rule, name)
                reply.when_whole(lambda headers, events: _call_on(loop, keep, headers, events))
            elif reply.incoming.status == 200:
                headers = kept_headers(reply.incoming.headers)
                await self._keep(rule, name, Answer(status=200, headers=headers, body=reply.incoming.body))
            return reply
        finally:
            self._in_flight.pop(name, None)
            flight.set_result(None)

    async def _fresh(self, rule: CacheSettings, name: str, call: LlmCall) -> Reply | None:
        kept = await self._kept(name)
        if kept is None or unix_ms() - kept.kept_at_ms > rule.ttl * 1000:
            return None
        return _reply(call, kept.answer, "hit")

    async def _kept(self, name: str) -> _Kept | None:
        try:
            found = await self._plane.kept_answer(name)
        except PlaneAway:
            return None
        return None if found is None else _decoder.decode(found)

    def _keep_soon(self, rule: CacheSettings, name: str, headers: Headers, events: bytes) -> None:
        answer = Answer(status=200, headers=headers, body=events, is_stream=True)
        keeping = asyncio.create_task(self._keep(rule, name, answer), name="llm.cache", context=Context())
        self._keeping.add(keeping)
        keeping.add_done_callback(self._keeping.discard)

    async def _keep(self, rule: CacheSettings, name: str, answer: Answer) -> None:
        if len(answer.body) > LARGEST_BYTES:
            return
        kept = _encoder.encode(_Kept(unix_ms(), answer))
        try:
            await self._plane.keep_answer(name, kept, max(rule.ttl, STALE_SECONDS))
        except PlaneAway:
            return  # the next equal call is made


def _call_on(
    loop: asyncio.AbstractEventLoop, keep: Callable[[Headers, bytes], None], headers: Headers, events: bytes
) -> None:
    loop.call_soon_threadsafe(keep, headers, events)  # a stream may be read in any thread


def is_cacheable(call: LlmCall) -> bool:
    """Whether an equal call may be given the same answer."""
    wish = call.headers.get(CACHE_HEADER, "").strip().lower()
    if wish == "no" or call.question.is_kept_there:
        return False
    return wish == "yes" or call.question.is_deterministic


def _name(rule: CacheSettings, route: Route, tenant: str, call: LlmCall) -> str:
    """By the model's name in the settings too: two agents may ask for the same name and mean different ones."""
    whose = "*" if rule.shared else tenant
    return f"{whose}:{call.api.name}:{call.question.digest.hex()}:{route.name}"


def _reply(call: LlmCall, answer: Answer, means: Means) -> Reply:
    """As it came, with a word where it is from. It costs nothing."""
    headers = [(header, value) for header, value in answer.headers if header != "dayshift-attempts"]
    incoming = Incoming(status=answer.status, headers=[*headers, ("dayshift-cached", means)], body=answer.body)
    if means == "stale":
        incoming.headers.append(("dayshift-degraded", "cached"))
    if answer.is_stream:
        incoming.opening, incoming.is_over = Opening(call.api), True
        incoming.opening.feed(answer.body)
        incoming.body = b""
    return Reply(incoming, price=_free, is_kept=True)


def _free(usage: CallUsage) -> CallUsage:
    return CallUsage(llm_calls=1, provider=usage.provider, model=usage.model, told_usd=0.0)
