"""How much memory does an agent take that waits, and a client that waits for it?

Private bytes of the worker with some thousand agents that await something, and of the gateway with as many clients, each on
a connection and for a task of its own, less what they had before, divided by their number. Every run has fresh processes,
since memory that was used once is used again.
"""

import subprocess
import sys
import time
from collections.abc import Awaitable, Callable

import psutil

from benchmarks import harness
from benchmarks.harness.floors import constant_server
from benchmarks.harness.loads import close_connections, open_connections
from benchmarks.harness.measuring import Figures, cpu_seconds_of, pid_of, private_bytes
from benchmarks.latency import capacity

NAME = "memory"
QUESTION = "How much memory does a waiting agent take, and a waiting client?"
WAIT_SECONDS = 60
Begin = Callable[[harness.Connection, str], Awaitable[object]]

_LOOK_SECONDS, _CALM_CPU_SECONDS, _SECONDS_TO_CALM_DOWN = 0.5, 0.04, 60.0


async def long_poll(connection: harness.Connection, path: str) -> None:
    connection.leave_waiting(connection.encode("GET", f"{path}?wait={WAIT_SECONDS}"))


async def event_stream(connection: harness.Connection, path: str) -> None:
    await connection.begin(connection.encode("GET", f"{path}/events"))


async def held_request(connection: harness.Connection, _path: str) -> None:
    connection.leave_waiting(connection.encode("GET", "/hold"))


def waiting(begin: Begin, many: int) -> Figures:
    """Kibibytes of an agent that waits, and of a client that waits in this way."""
    with harness.serve(workers=1, slots=many + 100, options=("--grace", "1")) as served:
        worker, gateway = pid_of(served, "worker"), pid_of(served, "gateway")
        capacity(served, many // 4)  # warm: the first requests and agents pay for what all share
        until_calm(worker)
        before = private_bytes(worker)
        ids = harness.run(harness.submit_many(served, "idle", [{"seconds": 500}] * many))
        until_calm(worker)
        agents = private_bytes(worker) - before
        clients = harness.run(_of_clients(served, gateway, begin, [f"/v1/tasks/{task_id}" for task_id in ids]))
    return {"agent_kib": agents / 1024 / many, "client_kib": clients / 1024 / many}


async def _of_clients(served: harness.Served, server: int, begin: Begin, paths: list[str]) -> int:
    until_calm(server)
    before = private_bytes(server)
    pool = await open_connections(served, len(paths))
    for connection, path in zip(pool, paths, strict=True):
        await begin(connection, path)
    until_calm(server)
    taken = private_bytes(server) - before
    await close_connections(pool)
    return taken


def bare(many: int) -> Figures:
    """The same coroutine as an asyncio task, and a request that the bare HTTP server holds open."""
    command = [sys.executable, "-m", "benchmarks.bare", "idle", str(many)]
    made = subprocess.run(command, cwd=harness.ROOT, stdout=subprocess.PIPE, text=True, check=True)
    with constant_server() as constant:
        clients = harness.run(_of_clients(constant, constant.process.pid, held_request, ["/hold"] * many))
    return {"agent_kib": int(made.stdout) / 1024 / many, "client_kib": clients / 1024 / many}


def until_calm(pid: int) -> None:
    """Until the process has worked off what it was given, and does only what it does each second."""
    process = psutil.Process(pid)
    deadline = time.monotonic() + _SECONDS_TO_CALM_DOWN
    used = cpu_seconds_of(process)
    while time.monotonic() < deadline:
        time.sleep(_LOOK_SECONDS)
        before, used = used, cpu_seconds_of(process)
        if used - before <= _CALM_CPU_SECONDS:
            return
    raise RuntimeError(f"process {pid} was still busy after {_SECONDS_TO_CALM_DOWN:g} s")


def ask(effort: harness.Effort) -> harness.Report:
    many = effort.of(2_000, 100)
    cases = harness.repeat(
        effort,
        {
            "long-polls": lambda: waiting(long_poll, many),
            "event streams": lambda: waiting(event_stream, many),
            "bare": lambda: bare(many),
        },
    )
    polls, streams, floor = cases.values()
    lines = [
        harness.line("an agent that waits", "KiB", polls, "agent_kib", floor=floor),
        harness.line("a client in a long-poll", "KiB", polls, "client_kib", floor=floor),
        harness.line("a client on an event stream", "KiB", streams, "client_kib", floor=floor),
    ]
    return harness.Report(
        name=NAME,
        question=QUESTION,
        lines=lines,
        floor="agent: the same coroutine as an asyncio task; clients: a request that the bare HTTP server holds open",
    ).with_runs(cases, agents=many, clients=many)
