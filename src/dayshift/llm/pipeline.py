"""The way of an LLM call that no journal has an answer to.

    cache -> route -> [per target: look at the breaker -> wait for the limit -> permit -> call] -> price -> fallback

**The order within a target.** The breaker is looked at first, so that nobody queues for what is known to be away; the permit
is taken last, so that the one probe of a half-open breaker never waits in line. A breaker that opens meanwhile sends those
who wait on to the next target.

**What is tried again.** An answer that may be another next time is asked for again, at most `max_attempts` times a target and
only while the fleet's retries stay within their share of its calls. A 429 is no failure: the limiter was wrong, has learned
from it, and the call waits for its turn again, or goes on to the next target if that would take longer than `max_wait`.

**What the client above sees** is always an HTTP response in the provider's shape, that says by its headers who answered, after
how many tries, and whether it is what was asked for; and `x-should-retry: false`, as whatever helps has been tried.
"""

import msgspec

from dayshift.domain.events import LlmDegraded
from dayshift.domain.provider_settings import Means
from dayshift.llm.asking import Caller, Story
from dayshift.llm.exchange import Incoming, LlmCall, Reply, Send
from dayshift.llm.formats.format import object_in
from dayshift.llm.one_target import OneTarget
from dayshift.llm.routing import Route, Target
from dayshift.llm.shared import Shared
from dayshift.llm.synthesized import no_answer
from dayshift.telemetry import emit


class Line:
    """The calls of one attempt."""

    def __init__(self, shared: Shared, caller: Caller) -> None:
        self._shared = shared
        self._caller = caller
        self._open: set[Reply] = set()

    async def answer(self, call: LlmCall, send: Send, broken: Reply | None = None, *, approved: bool = False) -> Reply:
        """Have the call made, and not where a stream of it was `broken`; `approved`: beyond its budget. Waits as long as the targets' limits, breakers and the means
        set for their absence say.
        """
        caller = msgspec.structs.replace(self._caller, is_approved=True) if approved else self._caller
        reply = None
        while reply is None:
            reply = await _Asking(self._shared, caller, call, send, broken).answer()
        if reply.incoming.opening is not None:
            self._open.add(reply)
            reply.when_settled(self._open.discard)
        return reply

    def close(self) -> None:
        """The attempt is over: streams that its code left open are no longer read."""
        for reply in list(self._open):
            reply.ended(None)


class _Asking:
    """One call on its way."""

    def __init__(self, shared: Shared, caller: Caller, call: LlmCall, send: Send, broken: Reply | None) -> None:
        self._of = shared
        self._caller = caller
        self._call = call
        self._send = send
        self._route: Route = shared.router.route(shared.settings(), caller.agent, call)
        self._story = Story(broken.broken_at if broken is not None else ())

    async def answer(self) -> Reply | None:
        """The reply; None: ask again from the beginning, as the world may have changed."""
        return await self._of.cache.answer(self._route, self._caller.tenant, self._call, self._made)

    async def _made(self) -> Reply | None:
        first, *others = self._not_broken() or self._route.targets
        has_others = bool(others) and "fallback" in self._route.when_unavailable
        reply = await self._at(first).answer(has_next=has_others)
        for means in self._route.when_unavailable:
            if reply is not None or means == "fail":
                break
            if means == "fallback":
                reply = await self._from_others(others)
            elif means == "cached":
                reply = await self._of.cache.stale(self._route, self._caller.tenant, self._call)
            elif means == "park":
                self._tell(means)
                await self._parked()
                return None
            if reply is not None:
                self._tell(means)
        return reply or self._failure()

    def _not_broken(self) -> list[Target]:
        return [target for target in self._route.targets if target.name not in self._story.broken_at]

    def _tell(self, how: Means) -> None:
        first = self._route.targets[0]
        emit(LlmDegraded(provider=first.provider, model=first.model, how=how, reason=self._story.text))

    async def _from_others(self, others: list[Target]) -> Reply | None:
        for number, target in enumerate(others, 1):
            reply = await self._at(target).answer(has_next=number < len(others), degraded="fallback")
            if reply is not None:
                return reply
        return None

    def _at(self, target: Target) -> OneTarget:
        return OneTarget(
            target,
            of=self._of,
            route=self._route,
            caller=self._caller,
            call=self._call,
            send=self._send,
            story=self._story,
        )

    async def _parked(self) -> None:
        target = self._route.targets[0]
        soonest_seconds = self._story.again_seconds or target.breaker.open
        seconds = await self._of.looking_again.after_seconds(
            target.provider, soonest_seconds=soonest_seconds, open_seconds=target.breaker.open
        )
        await self._caller.wait_for_provider(target.provider, seconds, self._story.text)

    def _failure(self) -> Reply:
        """No target has answered: the last thing that one of them said, or else that none said anything."""
        self._tell("fail")
        last, story = self._story.last, self._story
        if last is None or last.status < 400 or object_in(last.body) == {}:
            message = f"dayshift: {self._call.question.name}: no target could answer ({story.text})"
            made = no_answer(self._call.api, "unavailable", message, retry_after_seconds=story.again_seconds)
            last = Incoming(status=made.status, headers=made.headers, body=made.body)
        else:
            last.headers.append(("x-should-retry", "false"))
        last.headers.append(("dayshift-attempts", str(story.attempts)))
        return Reply(last)
