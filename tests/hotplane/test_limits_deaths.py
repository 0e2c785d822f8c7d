"""Workers that die at any moment of any call: places, grants and heads are free again in time, and none is lost for good."""

import random

import msgspec
import pytest

from dayshift.domain.provider_settings import ProviderLimits
from dayshift.hotplane import keys
from dayshift.hotplane.limits import LimitCall, LimitPlace, LimitTelling

LIMITS = ProviderLimits(requests_per_minute=6_000, concurrent=4)
HELD_MS, UNCONFIRMED_MS, SILENT_MS = 15_000, 1_000, 1_000


class Schedule:
    """One random life of three workers, all of which die in the end."""

    def __init__(self, plane, seed):
        self.plane, self.random, self.line = plane, random.Random(seed), f"d{seed}"
        self.open: list[str] = []
        self.names = 0

    async def live(self):
        for _ in range(self.random.randrange(4, 12)):
            self.plane.limit_clock_ms += self.random.choice([1, 30, 400, 2_000])
            await self.random.choice([self.ask, self.ask, self.take_in_hand, self.confirm, self.end])()

    async def ask(self, worker=None):
        worker = worker or self.random.choice("uvw")
        self.names += 1
        call = LimitCall(f"r{self.names}", "t", 1.0, self.random.choice([1, 5, 9]), 0.0, None, 1, 1)
        (answer,) = await self.plane.limit_reserve(LimitPlace(self.line, f"{worker}/0", worker, ("c",), LIMITS), [call])
        if answer.kind == "granted":
            self.open.append(call.id)
        return answer

    async def take_in_hand(self):
        """For calls that may never come."""
        calls = []
        for _ in range(2):
            self.names += 1
            calls.append(LimitCall(f"r{self.names}", "", 1.0, 0, 0.0, 0.0, 1, 1, is_in_hand=True))
        place = LimitPlace(self.line, "u/0", "u", ("c",), LIMITS)
        answers = await self.plane.limit_reserve(place, calls)
        self.open += [call.id for call, answer in zip(calls, answers, strict=True) if answer.kind == "granted"]

    async def confirm(self):
        if self.open:
            await self.plane.limit_tell(self.line, [LimitTelling("c", self.random.choice(self.open), HELD_MS)])

    async def end(self):
        if self.open:
            name = self.open.pop(self.random.randrange(len(self.open)))
            telling = self.random.choice([LimitTelling("s", name, 1, 1), LimitTelling("b", name)])
            await self.plane.limit_tell(self.line, [telling] * self.random.randrange(1, 3))

    async def all_is_free_in_time(self):
        """Four newcomers have all four places, as soon as what the dead left behind has lapsed."""
        self.plane.limit_clock_ms += HELD_MS + UNCONFIRMED_MS + SILENT_MS
        for newcomer in ("n0", "n1", "n2", "n3"):
            assert (await self.ask(newcomer)).kind == "granted"
        account = msgspec.msgpack.decode(
            await self.plane._state.wire.ask(b"GET", f"{keys.LIMIT_KEYS['LIMIT_ACCOUNT']}{self.line}:c"), strict=False
        )
        assert account["open"] == 4
        assert not any(account.get("in_hand", []))
        assert await self.plane._state.wire.ask(b"HLEN", keys.LIMIT_KEYS["LIMIT_HEADS"] + self.line) == 0


async def run(plane, seeds):
    plane.limit_clock_ms = 1e12
    for seed in seeds:
        schedule = Schedule(plane, seed)
        await schedule.ask("u")
        plane.limit_clock_ms += 60_000
        await schedule.live()
        await schedule.all_is_free_in_time()


async def test_what_the_dead_held_is_free_in_time(plane):
    await run(plane, range(400))


@pytest.mark.long_fault
@pytest.mark.timeout(600)
async def test_what_the_dead_held_is_free_in_time_over_ten_thousand_lives(plane):
    await run(plane, range(10_000))
