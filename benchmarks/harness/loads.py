"""How requests are made to come: closed loops and open loops.

**A closed loop** keeps a number of connections busy, each waiting for its answer before it asks again. It finds a
capacity. Its latencies say little: a server that stalls is asked less.

**An open loop** sends each request at its due time, whether or not others are back, as users do. Latency counts from the
due time, so that a stall is paid by every request that was due in it (no coordinated omission), and a request that the
generator itself sends late is not flattered. Due times are kept by a thread: an event loop's timers count whole milliseconds.
"""

import asyncio
import threading
import time
from collections.abc import Callable, Iterable

from benchmarks.harness.client import Connection
from benchmarks.harness.measuring import Figures, percentile
from benchmarks.harness.serving import Served

Prepare = Callable[[Connection, int], bytes]


async def closed_loop(
    served: Served, prepare: Prepare, requests: int, *, connections: int, expected: int
) -> tuple[float, list[float]]:
    """Make that many requests. Returns the seconds that all took, and each one's."""
    pool = await open_connections(served, connections)
    numbers = iter(range(requests))
    took: list[float] = []

    async def keep_busy(connection: Connection) -> None:
        for number in numbers:
            encoded = prepare(connection, number)
            sent_at = time.perf_counter()
            await checked(connection, encoded, expected)
            took.append(time.perf_counter() - sent_at)

    began = time.perf_counter()
    await asyncio.gather(*map(keep_busy, pool))
    elapsed = time.perf_counter() - began
    await close_connections(pool)
    return elapsed, took


async def open_loop(served: Served, prepare: Prepare, *, per_second: float, seconds: float, expected: int) -> Figures:
    """Send at a rate; percentiles of the time from due to answered, and of how late the generator itself was."""
    idle = await open_connections(served, 8)
    took: list[float] = []
    late: list[float] = []

    async def one(number: int, due: float) -> None:
        late.append(time.perf_counter() - due)
        while idle and not idle[-1].is_open:
            idle.pop()
        connection = idle.pop() if idle else await Connection(served.host, served.port, served.key).open()
        await checked(connection, prepare(connection, number), expected)
        took.append(time.perf_counter() - due)
        idle.append(connection)

    await _at_due_times(one, per_second=per_second, requests=int(per_second * seconds))
    await close_connections(idle)
    return {
        "p50_ms": percentile(took, 0.50) * 1000,
        "p99_ms": percentile(took, 0.99) * 1000,
        "max_ms": max(took) * 1000,
        "generator_late_p99_ms": percentile(late, 0.99) * 1000,
    }


async def _at_due_times(one: Callable[[int, float], object], *, per_second: float, requests: int) -> None:
    loop = asyncio.get_running_loop()
    sent: list[asyncio.Task[None]] = []
    all_sent = asyncio.Event()
    is_stopped = threading.Event()
    began = time.perf_counter() + 0.05

    def keep_time() -> None:
        for number in range(requests):
            due = began + number / per_second
            time.sleep(max(0.0, due - time.perf_counter()))
            if is_stopped.is_set():
                return
            loop.call_soon_threadsafe(lambda number=number, due=due: sent.append(loop.create_task(one(number, due))))
        loop.call_soon_threadsafe(all_sent.set)

    keeper = threading.Thread(target=keep_time, daemon=True)
    keeper.start()
    try:
        await all_sent.wait()
        await asyncio.gather(*sent)
    finally:
        is_stopped.set()
        await asyncio.to_thread(keeper.join)


async def one_after_another(
    served: Served, encoded: Callable[[Connection], Iterable[bytes]], expected: int
) -> list[float]:
    """The seconds that each of some requests took, one at a time over one connection."""
    connection = await Connection(served.host, served.port, served.key).open()
    took = []
    for request in encoded(connection):
        began = time.perf_counter()
        await checked(connection, request, expected)
        took.append(time.perf_counter() - began)
    await connection.close()
    return took


async def checked(connection: Connection, encoded: bytes, expected: int) -> bytes:
    """Send and return the answer; raises when its status is another than expected."""
    status, answer = await connection.send(encoded)
    if status != expected:
        raise RuntimeError(f"answered {status} instead of {expected}: {answer[:300]!r}")
    return answer


async def open_connections(served: Served, number: int) -> list[Connection]:
    """Some at a time, as a listening socket's queue has an end."""
    pool: list[Connection] = []
    while len(pool) < number:
        some = range(min(200, number - len(pool)))
        pool += await asyncio.gather(*(Connection(served.host, served.port, served.key).open() for _ in some))
    return pool


async def close_connections(pool: Iterable[Connection]) -> None:
    for connection in pool:
        await connection.close()
