"""An open loop of LLM calls through the official SDK: straight, or through the LLM layer without a journal. A process of its own.

    python -m benchmarks.calling straight|layer CALLS PER_SECOND [VALKEY_URL]

Prints the milliseconds of each call as JSON, and the CPU milliseconds of one.
"""

import asyncio
import contextlib
import json
import os
import sys
import time
from collections.abc import AsyncIterator

import msgspec

from dayshift.app import run_loop, set_aside_what_is_loaded
from dayshift.domain import clock
from dayshift.domain.budget import Spender
from dayshift.domain.effect import CallUsage
from dayshift.domain.settings import Settings
from dayshift.hotplane import Plane
from dayshift.ledger import Ledger
from dayshift.llm.asking import Caller
from dayshift.llm.budgets import Budgets
from dayshift.llm.capture import Answer, capturing, record_calls_with
from dayshift.llm.exchange import LlmCall, Reply, Send
from dayshift.llm.layer import LlmLayer
from dayshift.llm.pipeline import Line
from dayshift.llm.providers import KnownAddresses, first_providers
from dayshift.llm.request import Question
from dayshift.tasks.pushes import Pushes

PROVIDER = {"limits": {"requests_per_minute": 6_000_000, "tokens_per_minute": 600_000_000}}
WARM = 30


class NoJournal:
    """Has calls made and keeps nothing: what is left is limits, breakers and the rest of the way."""

    def __init__(self, line: Line) -> None:
        self._line = line

    async def take(self, question: Question) -> Answer | None:
        del question
        return None

    def begin(self, question: Question) -> None:
        del question

    async def send(self, call: LlmCall, send: Send, broken: Reply | None = None) -> Reply:
        return await self._line.answer(call, send, broken)

    async def record(self, draft: None, answer: Answer, usage: CallUsage) -> Answer:
        del draft, usage
        return answer


async def calls(count: int, per_second: float) -> tuple[list[float], float]:
    """The milliseconds of each, and the CPU milliseconds of one; calls leave when they are due, whatever became of those before."""
    from openai import AsyncOpenAI

    client = AsyncOpenAI()

    async def one(number: int) -> float:
        started = time.perf_counter()
        messages = [{"role": "user", "content": f"call {number} of {os.getpid()}"}]
        await client.chat.completions.create(model="fake", messages=messages)  # type: ignore[arg-type] # as in the SDK's README
        return (time.perf_counter() - started) * 1000

    await asyncio.gather(*(one(-number - 1) for number in range(WARM)))
    cpu, begun, made = time.process_time(), time.perf_counter(), []
    for number in range(count):
        await asyncio.sleep(max(0.0, begun + number / per_second - time.perf_counter()))
        made.append(asyncio.create_task(one(number)))
    took = await asyncio.gather(*made)
    cpu_ms = (time.process_time() - cpu) * 1000 / count
    await client.close()
    return list(took), cpu_ms


@contextlib.asynccontextmanager
async def through_the_layer(valkey_url: str) -> AsyncIterator[None]:
    """What is called inside goes through limits and breakers, and no journal."""
    settings = msgspec.convert({"providers": {"openai": PROVIDER}}, Settings)
    providers = first_providers(openai_base_url=os.environ["OPENAI_BASE_URL"], anthropic_base_url=None)
    plane = Plane(valkey_url)
    await plane.open()
    pushes = Pushes(plane)
    layer = LlmLayer(
        plane,
        pushes,
        lambda: settings,
        budgets=Budgets(plane, Ledger("postgresql://unused"), lambda: settings),  # none are set, so it is not asked
        providers=providers,
        secret_named=os.environ.get,
        on_back=lambda _provider: None,
    )
    await layer.open()
    with capturing(KnownAddresses(providers)):
        line = layer.line(
            Caller(
                task_id="task_0",
                agent="a",
                tenant="t",
                user=None,
                conversation=None,
                priority=5,
                spender=Spender(tenant="t", agent="a", task_id="task_0"),
                deadline_mono=clock.monotonic_seconds() + 3600,
                wait_for_provider=lambda _provider, seconds, _message: asyncio.sleep(seconds),
            )
        )
        record_calls_with(NoJournal(line))  # type: ignore[arg-type] # as much of a recorder as these calls use
        yield
    await layer.close()
    await pushes.close()
    await plane.close()


async def main(way: str, count: int, per_second: float, valkey_url: str) -> None:
    import openai  # noqa: F401 - part of what is loaded, as in a worker

    set_aside_what_is_loaded()
    if way == "straight":
        took, cpu_ms = await calls(count, per_second)
    else:
        async with through_the_layer(valkey_url):
            took, cpu_ms = await calls(count, per_second)
    print(json.dumps({"ms": took, "cpu_ms": cpu_ms}))


if __name__ == "__main__":
    way, count, per_second, *rest = sys.argv[1:]
    run_loop(main(way, int(count), float(per_second), rest[0] if rest else ""))
