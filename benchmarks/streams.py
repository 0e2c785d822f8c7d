"""What do thousands of clients that only wait cost one gateway process, and those who submit meanwhile?

5,000 open event streams and 2,000 long-polls, each on a connection and for a task of its own that nobody runs. Meanwhile
tasks are submitted at 100 a second; the floor is the same load on the same process before anybody waited.
"""

import resource

from benchmarks import harness
from benchmarks.harness.loads import close_connections, open_connections, open_loop
from benchmarks.harness.measuring import Figures, pid_of, private_bytes
from benchmarks.memory import Begin, event_stream, long_poll, until_calm

NAME = "streams"
QUESTION = "What do 5,000 open streams and 2,000 long-polls cost one gateway, and those who submit meanwhile?"
SUBMITS_PER_SECOND = 100
STREAMS, LONG_POLLS = 5_000, 2_000


def allow_many_connections() -> None:
    _, at_most = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (at_most, at_most))


async def submitting(served: harness.Served, seconds: float) -> Figures:
    """Times of submits at the rate, and what the gateway used of a core."""

    def prepare(connection: harness.Connection, number: int) -> bytes:
        return connection.encode("POST", "/v1/tasks", b'{"agent": "noop", "input": {"n": %d}}' % number)

    with harness.Meter(served) as meter:
        took = await open_loop(served, prepare, per_second=SUBMITS_PER_SECOND, seconds=seconds, expected=202)
    return took | {
        "gateway_core_percent": 100 * meter.cpu_seconds["gateway"] / meter.seconds,
        "foreign_cores": meter.foreign_cores,
    }


async def beside_waiters(served: harness.Served, ids: list[str], polls: int, seconds: float) -> Figures:
    """The memory of each kind of waiter, one task for each, and the submits beside them all."""
    gateway, pool = pid_of(served, "gateway"), list[harness.Connection]()
    kinds: list[tuple[str, Begin, list[str]]] = [
        ("stream", event_stream, ids[polls:]),
        ("long_poll", long_poll, ids[:polls]),  # last, as they end after a minute
    ]
    memory: Figures = {}
    for kind, begin, of in kinds:
        until_calm(gateway)
        before = private_bytes(gateway)
        connections = await open_connections(served, len(of))
        pool += connections
        for connection, task_id in zip(connections, of, strict=True):
            await begin(connection, f"/v1/tasks/{task_id}")
        until_calm(gateway)
        memory[f"{kind}_kib"] = (private_bytes(gateway) - before) / 1024 / len(of)
    took = await submitting(served, seconds)
    await close_connections(pool)
    return took | memory


def ask(effort: harness.Effort) -> harness.Report:
    allow_many_connections()
    streams, polls, seconds = effort.of(STREAMS, 100), effort.of(LONG_POLLS, 40), effort.of(40, 2)
    quiet, waited = harness.Case(), harness.Case()
    for _ in range(effort.repeats):
        with harness.serve(gateways=1, workers=1) as served:
            harness.run(harness.configure(served, "queues.default.paused", value=True))
            harness.run(submitting(served, seconds / 4))  # warm
            quiet.runs.append(harness.run(submitting(served, seconds)))
            ids = harness.run(harness.submit_many(served, "noop", [{"n": n} for n in range(streams + polls)]))
            waited.runs.append(harness.run(beside_waiters(served, ids, polls, seconds)))
    lines = [
        harness.line("a submit beside them, p50", "ms", waited, "p50_ms", floor=quiet),
        harness.line("a submit beside them, p99", "ms", waited, "p99_ms", floor=quiet),
        harness.line("the gateway", "% of a core", waited, "gateway_core_percent", floor=quiet),
        harness.line("an open stream", "KiB", waited, "stream_kib"),
        harness.line("a long-poll", "KiB", waited, "long_poll_kib"),
    ]
    report = harness.Report(name=NAME, question=QUESTION, lines=lines, floor="the same submits while nobody waits")
    return report.with_runs(
        {"beside waiters": waited, "alone": quiet},
        streams=streams,
        long_polls=polls,
        submits_per_second=SUBMITS_PER_SECOND,
        seconds=seconds,
    )
