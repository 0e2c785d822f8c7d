"""One client of a shared limit, as a process of its own: with the limiter, without one, or a thief that keeps a steady pace.

    python -m benchmarks.sharing limiter|naive|thief PLAN VALKEY_URL PROVIDER_URL

PLAN is the JSON of a `Plan`. Prints what it counted from `from_seconds` on. Without the limiter a refused call is tried again as the
official SDKs do: twice, after 0.5 s doubled and jittered, or when the answer says.
"""

import asyncio
import json
import random
import sys
import time
from collections.abc import Awaitable, Callable

import httpx2
import msgspec
import uvloop

from dayshift.domain.provider_settings import ProviderLimits
from dayshift.hotplane import Plane
from dayshift.llm.limits import Ask, Limiter
from dayshift.tasks.pushes import Pushes

CALLERS = 40
SDK_RETRIES = 2
SDK_FIRST_SECONDS, SDK_MOST_SECONDS = 0.5, 8.0
KEY = "sk-shared"


class Plan(msgspec.Struct, frozen=True, kw_only=True):
    """What to call, for how long. Each call takes one of the models in turn: of the provider's script, each answers at a length."""

    limits: ProviderLimits
    models: list[str]
    prompt_characters: int
    seconds: float
    from_seconds: float
    seed: int = 0
    per_minute: float = 0.0


class Counted(msgspec.Struct):
    """Answers, 429s among all answers, and calls that ended as an error for their caller."""

    answers: int = 0
    refused: int = 0
    failed: int = 0


class Client:
    """One process; `one_call` is what a caller does over and over."""

    def __init__(self, plan: Plan, http: httpx2.AsyncClient) -> None:
        self.plan = plan
        self.counted = Counted()
        self.random = random.Random(plan.seed)
        self.begun = time.monotonic()
        self._http = http

    def body(self) -> dict[str, object]:
        text = f"{self.random.random()}".ljust(self.plan.prompt_characters, "x")
        return {"model": self.random.choice(self.plan.models), "messages": [{"role": "user", "content": text}]}

    async def send(self, body: dict[str, object]) -> httpx2.Response:
        answer = await self._http.post("/v1/chat/completions", json=body)
        if self.counts():
            self.counted.answers += 1
            self.counted.refused += answer.status_code == 429
        return answer

    def counts(self) -> bool:
        return time.monotonic() - self.begun >= self.plan.from_seconds

    def is_over(self) -> bool:
        return time.monotonic() - self.begun >= self.plan.seconds

    async def all(self, one_call: Callable[[], Awaitable[None]]) -> None:
        async def caller() -> None:
            while not self.is_over():
                await one_call()

        with_end = [asyncio.create_task(caller()) for _ in range(CALLERS)]
        await asyncio.wait(with_end, timeout=self.plan.seconds)
        for task in with_end:
            task.cancel()
        await asyncio.gather(*with_end, return_exceptions=True)


async def limited(client: Client, valkey_url: str) -> None:
    """Each call waits its turn; a refused one asks again."""
    plane = Plane(valkey_url)
    await plane.open()
    pushes = Pushes(plane)
    limiter = Limiter(plane, pushes, f"worker {client.plan.seed}")
    await limiter.open()

    async def one_call() -> None:
        body = client.body()
        ask = Ask(
            provider="shared",
            model="any",
            credentials=("key",),
            limits=client.plan.limits,
            agent="caller",
            tenant=f"tenant {client.random.randrange(3)}",
            input_tokens=client.plan.prompt_characters // 4,
        )
        while True:
            reservation = await limiter.reserve(ask)
            answer = await client.send(body)
            if answer.status_code == 429:
                after = answer.headers.get("retry-after-ms")
                seconds = float(after) / 1000 if after else None
                reservation.refused(retry_after_seconds=seconds, headers=answer.headers)
                continue
            reservation.heard(answer.headers)
            usage = answer.json()["usage"]
            reservation.settle(input_tokens=usage["prompt_tokens"], output_tokens=usage["completion_tokens"])
            return

    await client.all(one_call)
    await limiter.close()
    await pushes.close()
    await plane.close()


async def naive(client: Client) -> None:
    """As an SDK does it by itself."""

    async def one_call() -> None:
        body = client.body()
        for tries in range(SDK_RETRIES + 1):
            answer = await client.send(body)
            if answer.status_code != 429:
                return
            await asyncio.sleep(_sdk_pause(answer, tries))
        if client.counts():
            client.counted.failed += 1

    await client.all(one_call)


def _sdk_pause(answer: httpx2.Response, tries: int) -> float:
    said = answer.headers.get("retry-after-ms")
    if said is not None and 0 < float(said) <= 60_000:
        return float(said) / 1000
    return float(min(SDK_FIRST_SECONDS * 2**tries, SDK_MOST_SECONDS) * random.uniform(0.75, 1.0))


async def steal(client: Client) -> None:
    """At a pace of its own, whatever comes back."""
    thefts = set()
    while not client.is_over():
        thefts.add(asyncio.create_task(client.send(client.body() | {"model": "stolen"})))
        await asyncio.sleep(random.uniform(0.5, 1.5) * 60 / client.plan.per_minute)
    await asyncio.gather(*thefts, return_exceptions=True)


async def main(way: str, plan: Plan, valkey_url: str, provider_url: str) -> None:
    headers = {"Authorization": f"Bearer {KEY}"}
    limits = httpx2.Limits(max_connections=None, max_keepalive_connections=CALLERS)
    async with httpx2.AsyncClient(base_url=provider_url, headers=headers, timeout=60, limits=limits) as http:
        client = Client(plan, http)
        if way == "limiter":
            await limited(client, valkey_url)
        elif way == "naive":
            await naive(client)
        else:
            await steal(client)
    print(json.dumps(msgspec.to_builtins(client.counted) | {"cpu_seconds": time.process_time()}))


if __name__ == "__main__":
    uvloop.run(main(sys.argv[1], msgspec.json.decode(sys.argv[2], type=Plan), *sys.argv[3:]))
