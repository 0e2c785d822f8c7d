"""Breakers of real worker processes, over an outage and over a kill."""

import asyncio
import contextlib
import itertools
import sys
from asyncio.subprocess import PIPE, Process
from collections.abc import AsyncIterator

import msgspec

from dayshift.domain.clock import monotonic_seconds
from dayshift.domain.provider_settings import BreakerSettings
from dayshift.llm.breakers import Permit
from tests.llm.breaking_worker import CALLS_A_SECOND, NAME
from tests.llm.test_breakers import a_worker, until

RULE = BreakerSettings(error_ratio=0.5, window=20.0, min_calls=10, open=1.0)
WORKERS = 3


class Provider:
    """Answers a line, and notes when it was called."""

    def __init__(self) -> None:
        self.is_well = True
        self.called_at: list[float] = []

    async def answer(self, _reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.called_at.append(monotonic_seconds())
        writer.write(b"well\n" if self.is_well else b"ill\n")
        with contextlib.suppress(OSError):
            await writer.drain()
        writer.close()

    def calls(self, begin: float, end: float) -> int:
        return sum(begin <= at < end for at in self.called_at)


@contextlib.asynccontextmanager
async def a_process(mode: str, valkey_url: str, port: int) -> AsyncIterator[Process]:
    rule = msgspec.json.encode(RULE).decode()
    words = ("-m", "tests.llm.breaking_worker", mode, valkey_url, str(port), rule)
    process = await asyncio.create_subprocess_exec(sys.executable, *words, stdout=PIPE)
    try:
        assert process.stdout is not None
        assert await process.stdout.readline() == b"ready\n"
        yield process
    finally:
        with contextlib.suppress(ProcessLookupError):
            process.kill()
        await process.wait()


async def test_an_outage_costs_a_call_a_second_at_most_and_is_over_soon_after(valkey_url):
    provider = Provider()
    server = await asyncio.start_server(provider.answer, "127.0.0.1", 0)
    port = server.sockets[0].getsockname()[1]
    async with contextlib.AsyncExitStack() as stack:
        watching = await stack.enter_async_context(a_worker(valkey_url))
        for _worker in range(WORKERS):
            await stack.enter_async_context(a_process("call", valkey_url, port))
        await asyncio.sleep(2)
        await watching.permit(*NAME, RULE)
        provider.is_well = False
        async with asyncio.timeout(8):
            await watching.opened(*NAME)
        opened_at = monotonic_seconds()
        await asyncio.sleep(7)
        provider.is_well = True
        ended_at = monotonic_seconds()
        begun = [at for at in provider.called_at if opened_at + 1.5 <= at < ended_at]
        assert 1 <= len(begun) <= 7, "who had not heard of it yet has called by then"
        assert all(later - earlier >= 0.9 for earlier, later in itertools.pairwise(begun))

        await until(lambda: provider.calls(ended_at, monotonic_seconds()) > 0)
        well_at = next(at for at in provider.called_at if at >= ended_at)
        view = next(iter(watching._views.values()))
        await until(lambda: view.state == "closed", 10)
        assert provider.calls(well_at, well_at + 1) <= 1 + 2 + 6, "a flood"
        await asyncio.sleep(max(0.0, well_at + 8 - monotonic_seconds()))
        assert provider.calls(well_at + 7, well_at + 8) > WORKERS * CALLS_A_SECOND / 2
    server.close()
    await server.wait_closed()


async def test_a_probe_whose_worker_was_killed_is_given_to_another(valkey_url):
    async with a_worker(valkey_url) as one, a_process("hold", valkey_url, 0) as holder:
        assert holder.stdout is not None
        permits = [await one.permit(*NAME, RULE) for _call in range(10)]
        for permit in permits:
            assert isinstance(permit, Permit)
            permit.settle(True)
        assert await holder.stdout.readline() == b"probe\n"
        assert not isinstance(await one.permit(*NAME, RULE), Permit)
        holder.kill()
        killed_at = monotonic_seconds()
        async with asyncio.timeout(10):
            while not isinstance(permit := await one.permit(*NAME, RULE), Permit):
                await asyncio.sleep(0.05)
        assert permit.is_probe
        assert monotonic_seconds() - killed_at < 7
        permit.settle(None)
