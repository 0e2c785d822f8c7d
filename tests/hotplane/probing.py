"""Random fates of probes, against what breakers.py promises of them: python -m tests.hotplane.probing URL SCHEDULES

Workers ask, probe, tell, die, and come back with words that are too late. The clock is turned by the schedule.
"""

import asyncio
import random
import sys
from typing import Any

from dayshift.domain.provider_settings import BreakerSettings
from dayshift.hotplane import BreakerName, BreakerReport, Plane

RULE = BreakerSettings(error_ratio=0.5, window=60.0, min_calls=4, open=30.0)
STEPS = 60
LEASE_SECONDS = 5.0
WEIGHTED = ["ask"] * 5 + ["pass"] * 5 + ["tell", "die", "late", "report", "look"]


class Schedule:
    """One breaker, some workers, and a model of who may hold its probe."""

    def __init__(self, plane: Plane, draw: random.Random, number: int) -> None:
        self._plane = plane
        self._draw = draw
        self._name = BreakerName("openai", f"model-{number}")
        self._now_us = 1_800_000_000_000_000 + number
        self._asked = 0
        self._alive: str | None = None
        self._silent: dict[
            str, float
        ] = {}  # token of the latest probe, if its worker is dead -> since when, in seconds
        self._followed: list[str] = []  # tokens of dead workers whose probe others have had since
        self._last_begun: float | None = None

    @property
    def _now(self) -> float:
        return self._now_us / 1_000_000

    async def run(self) -> None:
        await self._report(4, 4)
        for _step in range(STEPS):
            step = self._draw.choice(WEIGHTED)
            await getattr(self, f"_{step}")() if step != "report" else await self._report(
                2, self._draw.choice([0, 1, 2])
            )
        await self._must_come_free()

    async def _ask(self) -> None:
        self._asked += 1
        token = f"probe_{self._asked}"
        word, seen = await self._plane.ask_permit(self._name, token, now_us=self._now_us)
        if word == "probe":
            self._check_probe()
            self._alive, self._last_begun = token, self._now
        elif word == "wait":
            assert seen.after_seconds > 0, "told to wait for nothing"

    def _check_probe(self) -> None:
        assert self._alive is None, "two probes at once"
        assert all(self._now - since >= LEASE_SECONDS - 1.001 for since in self._silent.values()), "taken too soon"
        assert self._last_begun is None or self._now - self._last_begun >= 1.0, "probes too close"
        self._followed += self._silent
        self._silent.clear()

    async def _tell(self) -> None:
        if self._alive is not None:
            token, self._alive = self._alive, None
            await self._tell_of(token)

    async def _late(self) -> None:
        """A worker that was thought dead tells of its probe after all."""
        if self._silent and self._draw.random() < 0.5:
            await self._tell_of(self._silent.popitem()[0])
        elif self._followed:
            before = await self._seen()
            after = await self._tell_of(self._draw.choice(self._followed))
            assert (before.state, before.era) == (after.state, after.era), (
                "a word that is too late has changed something"
            )

    async def _tell_of(self, token: str) -> Any:
        outcome = self._draw.choice(["well", "failed", "nothing"])
        return await self._plane.tell_probe(self._name, token, outcome, RULE, now_us=self._now_us)

    async def _die(self) -> None:
        if self._alive is not None:
            self._silent[self._alive] = self._now
            self._alive = None

    async def _report(self, calls: int, failures: int) -> None:
        seen = await self._seen()
        report = BreakerReport(self._name, seen.era, calls, failures, RULE)
        await self._plane.report_calls([report], now_us=self._now_us)

    async def _look(self) -> None:
        await self._seen()

    async def _pass(self) -> None:
        """Time passes; who is alive renews its probe each second."""
        seconds = self._draw.choice([0.05, 0.5, 1, 3, 6, 31])
        while seconds > 0:
            self._now_us += round(min(seconds, 1.0) * 1_000_000)
            seconds -= 1.0
            if self._alive is not None:
                assert (await self._seen(self._alive)).state == "probing", "a live probe was lost"

    async def _seen(self, token: str = "") -> Any:
        return (await self._plane.look_at_breakers([(self._name, token)], now_us=self._now_us))[0]

    async def _must_come_free(self) -> None:
        """Whoever died with it: soon somebody may call."""
        await self._die()
        self._now_us += 61_000_000
        word, _seen = await self._plane.ask_permit(self._name, "probe_last", now_us=self._now_us)
        assert word in ("probe", "go"), "leaked"


async def run(url: str, schedules: int, seed: int = 0) -> None:
    """Run so many."""
    plane = Plane(url)
    await plane.open()
    draw = random.Random(seed)
    for first in range(0, schedules, 50):
        await asyncio.gather(
            *[Schedule(plane, draw, number).run() for number in range(first, min(first + 50, schedules))]
        )
    await plane.close()


if __name__ == "__main__":
    asyncio.run(run(sys.argv[1], int(sys.argv[2])))
