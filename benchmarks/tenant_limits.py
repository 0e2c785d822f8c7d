"""Is a client that obeys a limit ever refused, how much does one get that does not, and do others notice?

All at once for ten minutes, on one gateway: clients that do what the headers say, each with a limit of its own and with as much work as that
allows; a tenant, and a user of a tenant, that send twenty times their limit and look at nothing; and a bystander without a limit,
whose latency is measured once more without the others: that is the floor.
"""

import asyncio
import dataclasses
import json
import re
import time
from bisect import bisect_right
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from benchmarks import harness
from benchmarks.harness.loads import open_loop
from benchmarks.harness.measuring import Figures

NAME = "tenant_limits"
QUESTION = "Is who obeys a limit ever refused, is who does not held to it, and do others notice?"
PER_MINUTE = 600
IMPUDENT_PER_SECOND = 200
BYSTANDER_PER_SECOND = 20
WINDOW_SECONDS = 60

_LEFT = re.compile(rb'"(?:user-)?minute";r=(\d+);t=(\d+)')


@dataclass
class Seen:
    """What came back to one client: when each of its tasks was accepted by the ledger's clock, and how often it was refused."""

    accepted_at: list[float] = field(default_factory=list)
    refused: int = 0
    left: int = PER_MINUTE
    seconds: int = 0

    def take(self, status: int, answer: bytes, headers: bytes) -> None:
        if status == 202:
            self.accepted_at.append(datetime.fromisoformat(json.loads(answer)["created_at"]).timestamp())
        elif status == 429:
            self.refused += 1
        else:
            raise RuntimeError(f"answered {status}: {answer[:300]!r}")
        said = _LEFT.search(headers)
        if said is None:
            raise RuntimeError(f"no RateLimit header: {headers[:500]!r}")
        self.left, self.seconds = int(said[1]), int(said[2])

    def figures(self, seconds: float) -> Figures:
        at = sorted(self.accepted_at)
        fullest = max(index + 1 - bisect_right(at, one - WINDOW_SECONDS) for index, one in enumerate(at))
        return {
            "accepted": len(at),
            "refused": self.refused,
            "used_percent": 100 * len(at) / (PER_MINUTE * max(1.0, seconds / WINDOW_SECONDS)),
            "fullest_minute_percent": 100 * fullest / PER_MINUTE,
        }


Client = Callable[[harness.Connection, bytes, Seen], Awaitable[None]]


async def at_once(connection: harness.Connection, request: bytes, seen: Seen) -> None:
    """Send what is left as fast as it goes, and wait until all of the quota is there again."""
    await _send(connection, request, seen)
    if seen.left == 0:
        await asyncio.sleep(seen.seconds)


async def evenly(connection: harness.Connection, request: bytes, seen: Seen) -> None:
    """Spread what is left over the time that it has to last."""
    await _send(connection, request, seen)
    await asyncio.sleep(seen.seconds / max(1, seen.left))


async def _send(connection: harness.Connection, request: bytes, seen: Seen) -> None:
    status, answer = await connection.send(request)
    seen.take(status, answer, connection.headers)


async def obey(served: harness.Served, client: Client, user: str | None, seconds: float) -> Seen:
    seen, connection = Seen(), await harness.Connection(served.host, served.port, served.key).open()
    request = _request(connection, user)
    try:
        async with asyncio.timeout(seconds):
            while True:
                await client(connection, request, seen)
    except TimeoutError:
        await connection.close()
        return seen


async def ignore(served: harness.Served, user: str | None, seconds: float) -> Seen:
    """Send at a pace of its own, on eight connections, whatever comes back."""
    seen = Seen()
    until = time.monotonic() + seconds

    async def hammer() -> None:
        connection = await harness.Connection(served.host, served.port, served.key).open()
        request = _request(connection, user)
        due = time.monotonic()
        while due < until:
            await _send(connection, request, seen)
            due += 8 / IMPUDENT_PER_SECOND
            await asyncio.sleep(max(0.0, due - time.monotonic()))
        await connection.close()

    await asyncio.gather(*(hammer() for _ in range(8)))
    return seen


def _request(connection: harness.Connection, user: str | None = None) -> bytes:
    body = {"agent": "noop", "input": {"n": 1}} | ({} if user is None else {"user": user})
    return connection.encode("POST", "/v1/tasks", json.dumps(body).encode())


async def watch(served: harness.Served, seconds: float) -> Figures:
    """A bystander: raises when anything but 202 comes back."""
    return await open_loop(
        served, lambda it, _number: _request(it), per_second=BYSTANDER_PER_SECOND, seconds=seconds, expected=202
    )


async def tenant(served: harness.Served, name: str, section: dict[str, Any]) -> harness.Served:
    """The same gateway, as a tenant of its own with these settings."""
    made = await harness.request_json(served, "POST", "/v1/keys", {"tenant": name, "scopes": ["submit", "read"]})
    await harness.configure(served, f"tenants.{name}", section)
    return dataclasses.replace(served, key=made["key"])


async def all_at_once(served: harness.Served, seconds: float) -> dict[str, Figures]:
    limit = {"requests_per_minute": PER_MINUTE}
    users = await tenant(served, "users", {"user_limits": limit})
    clients = {
        "obeys, at once": obey(await tenant(served, "at-once", {"limits": limit}), at_once, None, seconds),
        "obeys, evenly": obey(await tenant(served, "evenly", {"limits": limit}), evenly, None, seconds),
        "obeys, beside an impudent user": obey(users, at_once, "obedient", seconds),
        "impudent tenant": ignore(await tenant(served, "impudent", {"limits": limit}), None, seconds),
        "impudent user": ignore(users, "impudent", seconds),
    }
    bystander = watch(await tenant(served, "bystander", {}), seconds)
    seen, watched = await asyncio.gather(asyncio.gather(*clients.values()), bystander)
    return {name: one.figures(seconds) for name, one in zip(clients, seen, strict=True)} | {"bystander": watched}


def ask(effort: harness.Effort) -> harness.Report:
    seconds = effort.of(600, 5)
    with harness.serve(gateways=1, workers=1) as served:
        harness.run(watch(served, seconds / 20))  # warm
        alone = harness.Case([harness.run(watch(served, seconds / 10))])
        with harness.Meter(served) as meter:
            figures = harness.run(all_at_once(served, seconds))
        figures["bystander"] |= meter.figures(int(sum(one.get("accepted", 0) for one in figures.values())))
    cases = {name: harness.Case([one]) for name, one in figures.items()}
    lines = [
        harness.line(f"{name}, {what}", unit, case, figure)
        for name, case in cases.items()
        if name != "bystander"
        for what, unit, figure in (
            ("refused", "requests", "refused"),
            ("accepted", "% of the limit", "used_percent"),
            ("fullest minute", "% of the limit", "fullest_minute_percent"),
        )
        if name.startswith("impudent") or figure != "fullest_minute_percent"
    ]
    lines += [
        harness.line(f"bystander, {share}", "ms", cases["bystander"], f"{share}_ms", floor=alone)
        for share in ("p50", "p99")
    ]
    report = harness.Report(name=NAME, question=QUESTION, lines=lines, floor="the bystander alone")
    return report.with_runs(
        cases | {"bystander alone": alone},
        seconds=seconds,
        limit_per_minute=PER_MINUTE,
        impudent_per_second=IMPUDENT_PER_SECOND,
        bystander_per_second=BYSTANDER_PER_SECOND,
    )
