"""A provider fails in four ways at once, one a model, under load and over two workers, and comes back."""

import asyncio
import contextlib
import itertools
from collections.abc import AsyncIterator

import httpx2
import msgspec
import pytest

from dayshift.domain import clock
from dayshift.domain.budget import Spender
from dayshift.domain.settings import Settings
from dayshift.hotplane import Plane
from dayshift.llm.asking import Caller
from dayshift.llm.budgets import Budgets
from dayshift.llm.capture.sending import AsyncSender
from dayshift.llm.exchange import LlmCall
from dayshift.llm.formats import CHAT
from dayshift.llm.layer import LlmLayer
from dayshift.llm.providers import first_providers
from dayshift.llm.request import question_of
from dayshift.tasks.pushes import Pushes
from tests.fakellm.process import FakeProvider, fake_provider

FAULTS = {
    "refuses": {"status": 500},
    "overloaded": {"status": 529, "retry_after": 30},
    "hangs": {"fault": "hang"},
    "breaks": {"fault": "reset", "fault_after_tokens": 0},
}
WORKERS, CALLS_A_SECOND = 2, 12  # of each model, by all workers
WELL_SECONDS, ILL_SECONDS, AFTER_SECONDS = 3.0, 6.0, 10.0
TIMEOUT_SECONDS = 1.0


def settings_for(primary: FakeProvider, backup: FakeProvider) -> Settings:
    impatient = {"first_token": TIMEOUT_SECONDS, "idle": TIMEOUT_SECONDS, "total": TIMEOUT_SECONDS}
    breaker = {"window": 20.0, "min_calls": 10, "open": 1.0}
    told = {
        "providers": {
            "primary": {
                "format": "openai",
                "base_url": f"{primary.url}/v1",
                "api_key": "${env:KEY}",
                "timeouts": impatient,
                "breaker": breaker,
            },
            "backup": {"format": "openai", "base_url": f"{backup.url}/v1", "api_key": "${env:KEY}"},
        },
        "models": {name: {"targets": [f"primary/{name}", "backup/spare"]} for name in FAULTS},
    }
    return msgspec.convert(told, Settings)


class Load:
    """Calls, and what became of each: to which target it was sent, and when; and how it was answered."""

    def __init__(self, layers: list[LlmLayer], transport: httpx2.AsyncHTTPTransport) -> None:
        self._layers = itertools.cycle(layers)
        self._transport = transport
        self.sent: list[tuple[float, str, str]] = []
        self.answered: list[tuple[str, int, str]] = []

    async def run(self, seconds: float) -> None:
        began, calls = clock.monotonic_seconds(), []
        for number in itertools.count():
            at = began + number / CALLS_A_SECOND
            if at > began + seconds:
                break
            await asyncio.sleep(max(0.0, at - clock.monotonic_seconds()))
            calls += [asyncio.create_task(self._call(model)) for model in FAULTS]
        await asyncio.gather(*calls)

    def count(self, target: str, model: str, begin: float, end: float) -> int:
        return sum(begin <= at < end for at in self.times(target, model))

    def times(self, target: str, model: str) -> list[float]:
        return [at for at, to, asked in self.sent if (to, asked) == (target, model)]

    async def _call(self, model: str) -> None:
        body = msgspec.json.encode({"model": model, "stream": True, "messages": [{"role": "user", "content": "Hi"}]})
        call = LlmCall(
            provider="openai",
            api=CHAT,
            question=question_of(CHAT, {}, body),
            url="https://api.openai.com/v1/chat/completions",
            headers={},
            body=body,
        )
        request = httpx2.Request("POST", call.url, content=body, headers={"content-type": "application/json"})
        sender = AsyncSender(httpx2, self._transport, request, call)

        async def send(outgoing):
            target = "backup" if b"spare" in (outgoing.body or b"") else "primary"
            self.sent.append((clock.monotonic_seconds(), target, model))
            return await sender(outgoing)

        line = next(self._layers).line(_caller())
        reply = await line.answer(call, send)
        if reply.incoming.opening is not None:
            with contextlib.suppress(StopAsyncIteration):
                while not reply.incoming.is_over:
                    await anext(reply.incoming.rest)
            reply.ended(None)
            await reply.incoming.response.aclose()
        target = dict(reply.incoming.headers).get("dayshift-target", "")
        self.answered.append((model, reply.incoming.status, target.partition("/")[0]))


def _caller() -> Caller:
    async def never(*_arguments) -> None:
        raise AssertionError("nothing parks here")

    return Caller(
        task_id="task_1",
        agent="a",
        tenant="t",
        user=None,
        conversation=None,
        priority=5,
        deadline_mono=clock.monotonic_seconds() + 60,
        spender=Spender(tenant="t", agent="a", task_id="task_1"),
        wait_for_provider=never,
    )


@contextlib.asynccontextmanager
async def a_layer(url: str, settings: Settings) -> AsyncIterator[LlmLayer]:
    plane = Plane(url)
    await plane.open()
    pushes = Pushes(plane)
    layer = LlmLayer(
        plane,
        pushes,
        lambda: settings,
        budgets=Budgets(plane, None, lambda: settings),
        providers=first_providers(openai_base_url=None, anthropic_base_url=None),
        secret_named=lambda _name: "sk-x",
        on_back=lambda _provider: None,
    )
    await layer.open()
    yield layer
    await layer.close()
    await pushes.close()
    await plane.close()


@pytest.fixture
def primary():
    with fake_provider("--latency", "0.05") as fake:
        yield fake


@pytest.fixture
def backup():
    with fake_provider("--latency", "0.05") as fake:
        yield fake


async def test_no_call_fails_and_the_primary_is_left_alone_until_it_is_back(valkey_url, primary, backup):
    settings = settings_for(primary, backup)
    async with contextlib.AsyncExitStack() as stack:
        layers = [await stack.enter_async_context(a_layer(valkey_url, settings)) for _worker in range(WORKERS)]
        transport = await stack.enter_async_context(httpx2.AsyncHTTPTransport())
        load = Load(layers, transport)
        loading = asyncio.create_task(load.run(WELL_SECONDS + ILL_SECONDS + AFTER_SECONDS))
        await asyncio.sleep(WELL_SECONDS)
        primary.faults(*[{"model": model, **fault} for model, fault in FAULTS.items()])
        ill_at = clock.monotonic_seconds()
        await asyncio.sleep(ILL_SECONDS)
        primary.faults()
        back_at = clock.monotonic_seconds()
        await loading

    assert {status for _model, status, _target in load.answered} == {200}
    for model in FAULTS:
        first_second_open = ill_at + 3.0 + (TIMEOUT_SECONDS if model == "hangs" else 0.0)
        while_open = load.count("primary", model, first_second_open, back_at)
        assert while_open <= back_at - first_second_open + 1, (model, while_open)
        last_second = load.count("primary", model, back_at + AFTER_SECONDS - 1.5, back_at + AFTER_SECONDS - 0.5)
        assert last_second > CALLS_A_SECOND * 0.7, (model, "recovery is used")
    calls = len(load.answered)
    wasted = len(load.sent) - calls
    assert wasted <= 0.1 * calls + len(FAULTS) * 2.5 * CALLS_A_SECOND, wasted
