"""A fleet in simulated time: workers with more to do than a provider lets through, the provider's own books, and perhaps a thief.

The scripts are the real ones, by a clock that the simulation moves; the provider's buckets are those of `dayshift fakellm`.
"""

import heapq
import itertools
import random
from collections import deque
from collections.abc import Callable
from typing import Literal

import msgspec

from dayshift.domain.provider_settings import ProviderLimits
from dayshift.fakellm.limits import KINDS as BOOKED
from dayshift.fakellm.limits import Account, Limit
from dayshift.hotplane import Plane, keys
from dayshift.hotplane.limits import LimitCall, LimitPlace, LimitTelling, is_larger_than_a_bucket

EARLY_MS, FAR_EARLY_MS = 15.0, 50.0
CONFIRM_MS = 300.0
MAX_OPEN = 200
START_MS = 1e12


class Load(msgspec.Struct, frozen=True, kw_only=True):
    """What the fleet wants. `output` draws what a call really uses; `estimate` is what the workers think that it will.
    Headers tell what was left as the call came in, as gates in front of providers do, or at its end.
    """

    limits: ProviderLimits
    input_tokens: int = 100
    output: Callable[[random.Random], int] = lambda _random: 100
    estimate: int = 100
    max_tokens: int | None = None
    seconds: Callable[[random.Random], float] = lambda random: random.lognormvariate(0.0, 0.4)
    late_ms: Callable[[random.Random], float] = lambda random: random.expovariate(1 / 2.0)
    thief_share: float = 0.0
    burst_seconds: float = 1.0
    headers_tell: Literal["arrival", "end", "nothing"] = "arrival"


class Outcome(msgspec.Struct):
    """`served`: (second, kind -> amount) of ours; `refused` and `called`: seconds, of ours."""

    called: list[float] = []
    refused: list[float] = []
    served: list[tuple[float, dict[str, int]]] = []
    stolen: list[tuple[float, dict[str, int]]] = []

    def used(self, kind: str, from_seconds: float, to_seconds: float) -> float:
        return sum(amounts[kind] for at, amounts in self.served if from_seconds <= at < to_seconds)

    def refused_share(self, from_seconds: float, to_seconds: float) -> float:
        refused, called = (
            sum(from_seconds <= at < to_seconds for at in times) for times in (self.refused, self.called)
        )
        return refused / called

    def highest(self, kind: str, window_seconds: float) -> float:
        both = sorted(self.served + self.stolen, key=lambda entry: entry[0])
        inside: deque[tuple[float, int]] = deque()
        total = highest = 0
        for at, amounts in both:
            inside.append((at, amounts[kind]))
            total += amounts[kind]
            while inside[0][0] <= at - window_seconds:
                total -= inside.popleft()[1]
            highest = max(highest, total)
        return highest


class Fleet:
    """`workers` ask as `llm/limits/line.py` does: early by a moment, at once when pushed, one question at a time."""

    def __init__(self, plane: Plane, load: Load, *, workers: int = 4, seed: int = 1) -> None:
        self.plane, self.load = plane, load
        self.random = random.Random(seed)
        self.now_ms = START_MS
        self.outcome = Outcome()
        limit = {f"{kind}_per_minute": getattr(load.limits, f"{kind}_per_minute") for kind in BOOKED}
        self.account = Account("c", Limit(**limit, burst_seconds=load.burst_seconds), 0.0)
        self._events: list[tuple[float, int, Callable, tuple]] = []
        self._order = itertools.count()
        self._names = itertools.count()
        self._workers = [f"w{number}" for number in range(workers)]
        self._open = dict.fromkeys(self._workers, 0)
        self._asks_at = dict.fromkeys(self._workers, 0.0)
        self._waiting: dict[str, list[LimitCall]] = {worker: [] for worker in self._workers}

    async def run(self, seconds: float) -> Outcome:
        for worker in self._workers:
            self._ask_at(worker, self.now_ms)
        if self.load.thief_share:
            self._at(self.now_ms, self._steal)
        while self._events and self._events[0][0] < START_MS + seconds * 1000:
            self.now_ms, _, step, arguments = heapq.heappop(self._events)
            await step(*arguments)
        return self.outcome

    def _at(self, moment_ms: float, step: Callable, *arguments: object) -> None:
        heapq.heappush(self._events, (max(moment_ms, self.now_ms), next(self._order), step, arguments))

    def _ask_at(self, worker: str, moment_ms: float) -> None:
        self._asks_at[worker] = moment_ms
        self._at(moment_ms, self._ask, worker, moment_ms)

    async def _ask(self, worker: str, meant_ms: float) -> None:
        if self._asks_at[worker] != meant_ms or self._open[worker] >= MAX_OPEN:
            return
        load = self.load
        count = min(4, MAX_OPEN - self._open[worker])
        waiting = self._waiting[worker]
        while len(waiting) < count:
            name = f"r{next(self._names)}"
            waiting.append(
                LimitCall(name, worker, 1.0, 5, 0.0, None, load.input_tokens, load.estimate, load.max_tokens or 0)
            )
        calls = waiting[:count]
        self.plane.limit_clock_ms = self.now_ms
        answers = await self.plane.limit_reserve(LimitPlace("p", f"{worker}/0", worker, ("c",), load.limits), calls)
        for call, answer in zip(calls, answers, strict=False):
            if answer.kind == "granted":
                self._open[worker] += 1
                waiting.remove(call)
                start_ms = self.now_ms + answer.wait_ms + load.late_ms(self.random)
                self._at(start_ms, self._call, worker, call)
        wait_ms = answers[-1].wait_ms - self._early_ms() if answers[-1].kind.startswith("waits") else 0.0
        self._ask_at(worker, self.now_ms + max(1.0, wait_ms) + load.late_ms(self.random))
        await self._hear_pushes()

    async def _call(self, worker: str, call: LimitCall) -> None:
        load, now = self.load, self._seconds()
        self.outcome.called.append(now)
        output = load.output(self.random)
        reserved = {
            "requests": 1,
            "input_tokens": call.input_tokens,
            "output_tokens": load.max_tokens or 16,
            "tokens": call.input_tokens + (load.max_tokens or 16),
        }
        refusal = self.account.admit(reserved, now)
        if refusal is not None:
            self.outcome.refused.append(now)
            wait_ms = (refusal.wait_seconds or 0.5) * 1000
            self._at(self.now_ms + 1.0, self._end, worker, LimitTelling("f", call.id, wait_ms))
            return
        used = {"requests": 1, "input_tokens": call.input_tokens, "output_tokens": output}
        used["tokens"] = call.input_tokens + output
        self.outcome.served.append((now, used))
        ends_ms = self.now_ms + load.seconds(self.random) * 1000
        self._at(self.now_ms + CONFIRM_MS, self._tell, LimitTelling("c", call.id, 900_000))
        self._at(ends_ms, self._answered, worker, call, reserved, used, self._heard(call.id, now))

    async def _answered(
        self, worker: str, call: LimitCall, reserved: dict[str, int], used: dict[str, int], at_arrival: LimitTelling
    ) -> None:
        now = self._seconds()
        self.account.take({kind: used[kind] - reserved[kind] for kind in BOOKED}, now)
        if self.load.headers_tell != "nothing":
            await self._tell(at_arrival if self.load.headers_tell == "arrival" else self._heard(call.id, now))
        await self._end(worker, LimitTelling("s", call.id, used["input_tokens"], used["output_tokens"]))

    def _heard(self, name: str, now: float) -> LimitTelling:
        buckets = [self.account.buckets.get(kind) for kind in BOOKED]
        left = [str(max(0, int(bucket.balance(now)))) if bucket else "-1" for bucket in buckets]
        limits = [str(int(bucket.per_minute)) if bucket else "-1" for bucket in buckets]
        return LimitTelling("h", name, " ".join(left), " ".join(limits))

    async def _end(self, worker: str, telling: LimitTelling) -> None:
        self._open[worker] -= 1
        await self._tell(telling)
        if self._open[worker] == MAX_OPEN - 1:
            self._ask_at(worker, self.now_ms)

    async def _tell(self, telling: LimitTelling) -> None:
        self.plane.limit_clock_ms = self.now_ms
        await self.plane.limit_tell("p", [telling])
        await self._hear_pushes()

    async def _steal(self) -> None:
        """At a steady pace, and again after a refusal."""
        load, now = self.load, self._seconds()
        amounts = {
            "requests": 1,
            "input_tokens": load.input_tokens,
            "output_tokens": 100,
            "tokens": load.input_tokens + 100,
        }
        if self.account.admit(amounts, now) is None:
            self.outcome.stolen.append((now, amounts))
        per_minute = min(
            getattr(load.limits, f"{kind}_per_minute") / amounts[kind]
            for kind in BOOKED
            if getattr(load.limits, f"{kind}_per_minute")
        )
        self._at(self.now_ms + self.random.uniform(0.5, 1.5) * 60_000 / (per_minute * load.thief_share), self._steal)

    async def _hear_pushes(self) -> None:
        """What a head was told is kept beside it: a push says nothing else."""
        packed = await self.plane._state.wire.ask(b"HGETALL", keys.LIMIT_KEYS["LIMIT_HEADS"] + "p")
        for at in range(1, len(packed), 2):
            head = msgspec.msgpack.decode(packed[at])
            worker, told_ms = head["worker"], head["told"]
            asks_ms = max(self.now_ms + 0.5, told_ms - self._early_ms())
            if asks_ms < self._asks_at[worker] - 5:
                self._ask_at(worker, asks_ms)

    def _early_ms(self) -> float:
        load = self.load
        return FAR_EARLY_MS if is_larger_than_a_bucket(load.limits, load.input_tokens, load.estimate) else EARLY_MS

    def _seconds(self) -> float:
        return (self.now_ms - START_MS) / 1000
