"""Does anything grow in ten minutes at full load? (`python -m benchmarks.soak --minutes N` for another time.)

Clients keep the queue full (submits one by one, batches, long-polls, streams; tasks that fail and retry, conversations,
delays; half of what comes by batch has a journal, waits and children), and tasks are kept for a minute only, so that
deleting keeps up or does not. Every ten seconds each process's memory (PSS) and open files are read, Valkey's memory and
keys, and the ledger's dead rows and bytes a row.

What is built up at first is no leak: the last third of the run is compared with the one before. As its floor each figure
has its value then; the slope is that of a line through both.
"""

import argparse
import asyncio
import contextlib
import itertools
import json
import statistics
import time
from collections import defaultdict
from pathlib import Path
from typing import Any

import asyncpg
import psutil
import redis.asyncio
from tests.faults.postgres import Postgres
from tests.faults.valkey import Valkey

from benchmarks import harness
from benchmarks.engines import served_on_engines
from benchmarks.harness.reporting import save
from benchmarks.harness.summary import table_of

NAME = "soak"
QUESTION = "Does anything grow while the load is full?"
KEPT = "1m"
SAMPLE_SECONDS = 10.0
SUBMITTERS = 24
BATCHERS = 2
READERS = 20
MOST_QUEUED = 5_000
SLOTS = 200
UNITS = {"_mb": "MB", "_files": "open files", "_a_row": "bytes a live row", "_ratio": "dead rows a live row"}

_TABLES = """
SELECT name, sum(n_live_tup)::float8 AS live, sum(n_dead_tup)::float8 AS dead, sum(bytes)::float8 AS bytes
FROM (
    SELECT regexp_replace(relname, '_[0-9]+$', '') AS name, n_live_tup, n_dead_tup, pg_total_relation_size(relid) AS bytes
    FROM pg_stat_user_tables
) t
WHERE name IN ('tasks', 'effects', 'conversations', 'idempotency_keys', 'workers', 'depths')
GROUP BY name HAVING sum(n_live_tup) > 0
"""

Sample = dict[str, float]
Samples = dict[str, list[float]]


async def submitter(served: harness.Served, number: int, until_mono: float, done: list[int]) -> None:
    """Submit a task, wait for its result, and so on, over one kept connection."""
    connection = await harness.Connection(served.host, served.port, served.key).open()
    for turn in itertools.count():
        if time.monotonic() > until_mono:
            break
        body: dict[str, Any] = {"agent": "noop", "input": turn}
        if number % 4 == 1:
            body["conversation"] = f"talk-{number}-{turn % 50}"
        elif number % 4 == 2:
            body["delay"] = 0.05
        elif number % 4 == 3:
            body = {"agent": "fails_once", "input": turn}
        headers = {"Prefer": "wait=30", "Idempotency-Key": f"{number}-{turn}-{until_mono}"}
        status, answer = await connection.send(
            connection.encode("POST", "/v1/tasks", json.dumps(body).encode(), headers)
        )
        expect(status == 200 and b'"status":"succeeded"' in answer, status, answer)
        done[0] += 1
    await connection.close()


async def batcher(served: harness.Served, until_mono: float, done: list[int]) -> None:
    """Keep the queue from running dry."""
    while time.monotonic() < until_mono:
        if (await harness.queue_of(served))["ready"] < MOST_QUEUED:
            await harness.submit_many(served, "noop", list(range(1_000)))
            await harness.submit_many(served, "journaled", list(range(1_000)))
            done[0] += 2_000
        await asyncio.sleep(0.2)


async def reader(served: harness.Served, until_mono: float) -> None:
    """Follow the stream of a task that speaks."""
    while time.monotonic() < until_mono:
        task = await harness.request_json(served, "POST", "/v1/tasks", {"agent": "speaker", "input": 20})
        connection = await harness.Connection(served.host, served.port, served.key).open()
        status, answer = await connection.send(connection.encode("GET", f"/v1/tasks/{task['id']}/events"))
        expect(status == 200 and b"event: task.succeeded" in answer, status, answer)
        await connection.close()


def expect(is_well: bool, status: int, answer: bytes) -> None:
    """A run in which something fails is no run at full load, however flat it looks."""
    if not is_well:
        raise RuntimeError(f"it was answered {status}: {answer[-500:]!r}")


async def sample(served: harness.Served, postgres: Postgres, valkey: Valkey) -> Sample:
    taken = await asyncio.to_thread(processes, served.process.pid, postgres.pid)
    async with redis.asyncio.from_url(valkey.url) as client:
        memory = await client.info("memory")
        taken["valkey_used_mb"] = memory["used_memory"] / 1e6
        taken["valkey_keys"] = float(await client.dbsize())
    taken["valkey_rss_mb"] = psutil.Process(valkey.pid).memory_info().rss / 1e6
    taken["valkey_files"] = float(psutil.Process(valkey.pid).num_fds())
    return taken | await tables(postgres.url)


async def tables(database_url: str) -> Sample:
    """Of the tables that are written all the time (partitions count as one): size, size a row, dead rows; and sessions.

    A table that keeps its rows for longer than this takes, as that of the idempotency keys, grows by them and not a row.
    """
    ledger = await asyncpg.connect(database_url)
    try:
        rows = await ledger.fetch(_TABLES)
        sessions = float(await ledger.fetchval("SELECT count(*) FROM pg_stat_activity"))
    finally:
        await ledger.close()
    taken = {"postgres_sessions": sessions}
    for row in rows:
        taken[f"{row['name']}_mb"] = row["bytes"] / 1e6
        taken[f"{row['name']}_bytes_a_row"] = row["bytes"] / row["live"]
        taken[f"{row['name']}_dead_rows_ratio"] = row["dead"] / row["live"]
    return taken


def processes(supervisor: int, postmaster: int) -> Sample:
    """Memory and open files of the supervisor, of each process that it keeps, and of PostgreSQL as a whole."""
    taken: Sample = {}
    seen: dict[str, int] = defaultdict(int)
    for process in family(supervisor):
        words = set(process.cmdline())
        kind = next((kind for kind in ("gateway", "worker", "maintenance", "serve") if kind in words), None)
        if kind is not None:
            seen[kind] += 1
            taken[f"{kind}_{seen[kind]}_pss_mb"] = process.memory_full_info().pss / 1e6
            taken[f"{kind}_{seen[kind]}_files"] = float(process.num_fds())
    taken["postgres_pss_mb"] = sum(process.memory_full_info().pss for process in family(postmaster)) / 1e6
    return taken


def family(pid: int) -> list[psutil.Process]:
    """A process and its children, as far as they are still there."""
    process = psutil.Process(pid)
    return [one for one in [process, *process.children()] if one.is_running()]


async def soak(served: harness.Served, postgres: Postgres, valkey: Valkey, minutes: float) -> tuple[Samples, int]:
    await harness.configure(served, "retention.tasks", KEPT)
    until_mono = time.monotonic() + minutes * 60
    done, samples = [0], defaultdict[str, list[float]](list)
    load = [asyncio.create_task(submitter(served, number, until_mono, done)) for number in range(SUBMITTERS)]
    load += [asyncio.create_task(batcher(served, until_mono, done)) for _ in range(BATCHERS)]
    load += [asyncio.create_task(reader(served, until_mono)) for _ in range(READERS)]
    while time.monotonic() < until_mono:
        await asyncio.sleep(SAMPLE_SECONDS)
        with contextlib.suppress(psutil.NoSuchProcess):  # a session of PostgreSQL that ended while it was looked at
            for name, value in (await sample(served, postgres, valkey)).items():
                samples[name].append(round(value, 3))
        for ended in [task for task in load if task.done()]:
            ended.result()
    await asyncio.gather(*load)
    return samples, done[0]


def thirds(values: list[float]) -> tuple[list[float], list[float]]:
    """The second and the last third of a run."""
    third = max(1, len(values) // 3)
    return values[third : 2 * third] or values, values[-third:]


def grown(name: str, values: list[float]) -> harness.Line:
    """A figure in the last third of the run, and as its floor in the one before."""
    early, late = thirds(values)
    before, after = statistics.median(early), statistics.median(late)
    return harness.Line(
        what=name,
        unit=next((unit for ending, unit in UNITS.items() if name.endswith(ending)), "in number"),
        median=after,
        low=min(late),
        high=max(late),
        floor=before,
        ratio=round(after / before, 3) if before else None,
    )


def slope_a_minute(values: list[float]) -> float:
    """Of a line through the last two thirds."""
    late = [value for third in thirds(values) for value in third]
    minutes = [number * SAMPLE_SECONDS / 60 for number in range(len(late))]
    return round(statistics.linear_regression(minutes, late).slope, 4) if len(late) > 1 else 0.0


def ask(effort: harness.Effort, minutes: float | None = None) -> harness.Report:
    minutes = minutes or float(effort.of(10, 1))
    with served_on_engines(slots=SLOTS) as (served, postgres, valkey):
        samples, tasks = harness.run(soak(served, postgres, valkey, minutes))
    return harness.Report(
        name=NAME,
        question=QUESTION,
        lines=[grown(name, values) for name, values in samples.items()],
        floor="the second third of the run",
        named={
            "minutes": minutes,
            "tasks": tasks,
            "tasks_per_second": round(tasks / minutes / 60),
            "kept": KEPT,
            "slopes_a_minute": {name: slope_a_minute(values) for name, values in samples.items()},
            "samples": samples,
        },
    )


def main() -> None:
    """For another time than ten minutes."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--minutes", type=float, default=10.0)
    parser.add_argument("--results", type=Path, default=harness.ROOT / "benchmarks" / "results")
    flags = parser.parse_args()
    report = ask(harness.Effort(), flags.minutes)
    path = save(report, flags.results, quick=False, seconds=flags.minutes * 60)
    print(f"{path}\n{table_of([report])}")


if __name__ == "__main__":
    main()
