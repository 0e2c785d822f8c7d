"""Which costs grow with history, and with what is queued?

One installation, asked again and again while its history grows from 1,000 to 1,000,000 tasks (written by SQL, see
harness/history.py), and once more with 100,000 tasks queued. A cost that grows is found by what PostgreSQL counted for each
statement, which the report keeps.
"""

import asyncio
from collections.abc import Iterable

import asyncpg

from benchmarks import harness
from benchmarks.accept import one_by_one
from benchmarks.harness import statements
from benchmarks.harness.history import live_through
from benchmarks.harness.ledger import until
from benchmarks.harness.loads import one_after_another
from benchmarks.harness.measuring import Figures

NAME = "growth"
QUESTION = "Which costs grow with history, and with what is queued?"
PAUSED = "queues.default.paused"
IDLE_SECONDS = 4.0
LISTS = {
    "list": "limit=20",
    "list_of_status": "limit=20&status=failed",
    "list_of_agent": "limit=20&agent=noop",
    "list_of_agent_and_rare_status": "limit=20&agent=other8&status=cancelled",
    "list_of_user": "limit=20&user=u7",
    "list_of_user_and_rare_status": "limit=20&user=u7&status=cancelled",
    "list_from_the_middle": "limit=20&after={middle}",
    "dead_letters": "dead",
}
COSTS = (
    ("accept, PostgreSQL", "µs CPU/task", "accept_postgres_us"),
    ("accept, gateway", "µs CPU/task", "accept_gateway_us"),
    ("run, PostgreSQL", "µs CPU/task", "run_postgres_us"),
    ("run, worker", "µs CPU/task", "run_worker_us"),
    ("run, Valkey", "µs CPU/task", "run_valkey_us"),
    *((name.replace("_", " "), "ms", f"{name}_ms") for name in ("read", "long_poll", *LISTS)),
    ("all processes while idle", "% of a core", "idle_percent"),
)
_LINE = "SELECT id::text FROM tasks WHERE status = 'queued' ORDER BY seq"
_RUNNING = "SELECT count(*) FROM tasks WHERE status = 'running'"
_STATUS = "SELECT status FROM tasks WHERE id = $1"
_DONE = """
SELECT count(*) AS number, extract(epoch FROM max(finished_at) - min(started_at))::float8 AS seconds
FROM tasks WHERE id = ANY ($1::uuid[]) AND status = 'succeeded'
"""
_PAST = "SELECT 'task_' || id FROM tasks WHERE tenant = 'bench' AND status = 'succeeded' ORDER BY random() LIMIT $1"


def costs(served: harness.Served, effort: harness.Effort) -> Figures:
    """Of accepting, running, reading and listing, and of doing nothing."""
    many, looks = effort.of(3_000, 200), effort.of(200, 10)
    accepted = one_by_one(served, many)
    return (
        {"accept_per_second": accepted["per_second"]}
        | {f"accept_{kind}_us": accepted[f"{kind}_cpu_us"] for kind in ("gateway", "postgres", "valkey")}
        | {name: accepted[name] for name in ("generator_cores", "foreign_cores")}
        | harness.run(_run(served, many))
        | _reads(served, looks)
        | _idle(served, IDLE_SECONDS if not effort.quick else 0.5)
    )


async def _run(served: harness.Served, many: int) -> Figures:
    """Let go until as many of the line are done, and stop again."""
    connection = await asyncpg.connect(served.database_url)
    line = [row["id"] for row in await connection.fetch(_LINE)]
    with harness.Meter(served) as meter:
        await harness.request_json(served, "PUT", f"/v1/settings/{PAUSED}", {"value": False})
        await until(connection, "succeeded", _STATUS, line[many - 1])
        await harness.configure(served, PAUSED, value=True)
        await until(connection, 0, _RUNNING)
    done = await connection.fetchrow(_DONE, line)
    await connection.close()
    figures = meter.figures(done["number"])
    return {"run_per_second": done["number"] / done["seconds"]} | {
        f"run_{kind}_us": figures[f"{kind}_cpu_us"] for kind in ("worker", "postgres", "valkey", "maintenance")
    }


def _reads(served: harness.Served, looks: int) -> Figures:
    """Medians, one request at a time: a task that has ended, a long-poll for it, and lists."""
    past = harness.run(_past(served, looks))
    middle = sorted(past)[len(past) // 2]
    paths = {"read": [f"/v1/tasks/{task}" for task in past], "long_poll": [f"/v1/tasks/{task}?wait=5" for task in past]}
    for name, query in LISTS.items():
        path = "/v1/dead" if query == "dead" else f"/v1/tasks?{query.format(middle=middle)}"
        paths[name] = [path] * (looks // 4 + 1)
    return {f"{name}_ms": _median_ms(served, each) for name, each in paths.items()}


async def _past(served: harness.Served, number: int) -> list[str]:
    connection = await asyncpg.connect(served.database_url)
    rows = await connection.fetch(_PAST, number)
    await connection.close()
    return [row[0] for row in rows]


def _median_ms(served: harness.Served, paths: Iterable[str]) -> float:
    def encoded(connection: harness.Connection) -> list[bytes]:
        return [connection.encode("GET", path) for path in paths]

    return harness.percentile(harness.run(one_after_another(served, encoded, 200)), 0.5) * 1000


def _idle(served: harness.Served, seconds: float) -> Figures:
    """The cores that everything together takes while nobody asks for anything and nothing may run."""
    with harness.Meter(served) as meter:
        harness.run(asyncio.sleep(seconds))
    used = {kind: spent for kind, spent in meter.cpu_seconds.items() if kind != "generator"}
    return {"idle_percent": 100 * sum(used.values()) / meter.seconds} | {
        f"idle_{kind}_percent": 100 * spent / meter.seconds for kind, spent in used.items()
    }


async def _count_statements(served: harness.Served) -> None:
    connection = await asyncpg.connect(served.database_url)
    await statements.begin_counting(connection)
    await connection.close()


async def _statements(served: harness.Served) -> dict[str, dict[str, float]]:
    connection = await asyncpg.connect(served.database_url)
    try:
        return await statements.counted(connection)
    finally:
        await connection.close()


def ask(effort: harness.Effort) -> harness.Report:
    sizes = (1_000, 100_000, 1_000_000) if not effort.quick else (500, 2_000)
    queued = effort.of(100_000, 1_000)
    cases: dict[str, harness.Case] = {}
    counted = {}
    with harness.fleet(workers=1, preload=statements.LIBRARY) as served:

        def measure(name: str) -> None:
            harness.run(_count_statements(served))
            cases[name] = harness.repeat(effort, {name: lambda: costs(served, effort)})[name]
            counted[name] = harness.run(_statements(served))

        harness.run(harness.configure(served, PAUSED, value=True))
        for size, before in zip(sizes, (0, *sizes), strict=False):
            harness.run(live_through(served.database_url, range(before, size), of=sizes[-1]))
            measure(f"{size:,} of history")
        harness.run(harness.submit_many(served, "noop", [{"n": n} for n in range(queued)]))
        measure(f"{size:,} of history, {queued:,} queued")
    return harness.Report(
        name=NAME,
        question=QUESTION,
        lines=_lines(cases, sizes),
        floor="of a curve its first point; of a queue the same history without it",
        x_label="tasks of history",
    ).with_runs(cases, statements=counted)


def _lines(cases: dict[str, harness.Case], sizes: tuple[int, ...]) -> list[harness.Line]:
    """A curve of each cost over history, and then what the queue adds to it."""
    *histories, (with_queue, backlog) = cases.items()
    curves = [
        harness.line(what, unit, case, figure, x=size)
        for what, unit, figure in COSTS
        for (_, case), size in zip(histories, sizes, strict=True)
    ]
    _, without = histories[-1]
    return curves + [
        harness.line(f"{what}, {with_queue}", unit, backlog, figure, floor=without) for what, unit, figure in COSTS
    ]
