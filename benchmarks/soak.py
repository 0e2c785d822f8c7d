"""Does anything grow in ten minutes at full load? (`--minutes N` for another time.)

Clients keep the queue full (submits one by one, batches, long-polls, streams; tasks that fail and retry, conversations,
delays), with history deleted by the ledger's own rules. Every ten seconds each process's memory (PSS) and open files are
read, Valkey's memory and keys, and the ledger's dead rows and bytes a row of what is updated all the time.

Floor: the first third of the run, against which the last third is compared.
"""

import argparse
import asyncio
import itertools
import json
import statistics
import time
from collections import defaultdict
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import asyncpg
import psutil
import redis.asyncio
from tests.faults.postgres import Postgres
from tests.faults.valkey import Valkey

from benchmarks import harness

SAMPLE_SECONDS = 10.0
SUBMITTERS = 24
BATCHERS = 2
READERS = 20
MOST_QUEUED = 5_000
UPDATED_TABLES = ("conversations", "workers", "idempotency_keys", "queue_depths")

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
        await connection.send(connection.encode("POST", "/v1/tasks", json.dumps(body).encode(), headers))
        done[0] += 1
    await connection.close()


async def batcher(served: harness.Served, until_mono: float, done: list[int]) -> None:
    """Keep the queue from running dry."""
    while time.monotonic() < until_mono:
        if (await harness.queue_of(served))["ready"] < MOST_QUEUED:
            await harness.submit_many(served, "noop", list(range(2_000)))
            done[0] += 2_000
        await asyncio.sleep(0.2)


async def reader(served: harness.Served, until_mono: float) -> None:
    """Follow the stream of a task that speaks."""
    while time.monotonic() < until_mono:
        task = await harness.request_json(served, "POST", "/v1/tasks", {"agent": "speaker", "input": 20})
        connection = await harness.Connection(served.host, served.port, served.key).open()
        await connection.send(connection.encode("GET", f"/v1/tasks/{task['id']}/events"))
        await connection.close()


async def sample(served: harness.Served, postgres: Postgres, valkey: Valkey) -> dict[str, float]:
    taken = await asyncio.to_thread(processes, served)
    async with redis.asyncio.from_url(valkey.url) as client:
        memory = await client.info("memory")
        taken["valkey_used_mb"] = memory["used_memory"] / 1e6
        taken["valkey_keys"] = float(await client.dbsize())
    taken["valkey_rss_mb"] = psutil.Process(valkey.pid).memory_info().rss / 1e6
    ledger = await asyncpg.connect(postgres.url)
    try:
        for row in await ledger.fetch(
            "SELECT relname, n_live_tup, n_dead_tup, pg_total_relation_size(relid) AS bytes FROM pg_stat_user_tables"
            " WHERE n_live_tup > 0"
        ):
            if row["relname"] in UPDATED_TABLES or row["relname"].startswith("tasks_"):
                name = row["relname"].split("_2")[0]
                taken[f"{name}_dead_ratio"] = row["n_dead_tup"] / row["n_live_tup"]
                taken[f"{name}_bytes_a_row"] = row["bytes"] / row["n_live_tup"]
        taken["ledger_connections"] = float(await ledger.fetchval("SELECT count(*) FROM pg_stat_activity"))
    finally:
        await ledger.close()
    return taken


def processes(served: harness.Served) -> dict[str, float]:
    """Memory and open files of the supervisor and of each process that it keeps."""
    taken: dict[str, float] = {}
    seen: dict[str, int] = defaultdict(int)
    for process in [psutil.Process(served.process.pid), *psutil.Process(served.process.pid).children()]:
        words = set(process.cmdline())
        kind = next((kind for kind in ("gateway", "worker", "maintenance", "serve") if kind in words), None)
        if kind is not None:
            seen[kind] += 1
            name = f"{kind}_{seen[kind]}"
            taken[f"{name}_pss_mb"] = process.memory_full_info().pss / 1e6
            taken[f"{name}_files"] = float(process.num_fds())
    return taken


async def soak(served: harness.Served, postgres: Postgres, valkey: Valkey, minutes: float) -> tuple[Samples, int]:
    until_mono = time.monotonic() + minutes * 60
    done, samples = [0], defaultdict(list)
    load = [asyncio.create_task(submitter(served, number, until_mono, done)) for number in range(SUBMITTERS)]
    load += [asyncio.create_task(batcher(served, until_mono, done)) for _ in range(BATCHERS)]
    load += [asyncio.create_task(reader(served, until_mono)) for _ in range(READERS)]
    while time.monotonic() < until_mono:
        await asyncio.sleep(SAMPLE_SECONDS)
        for name, value in (await sample(served, postgres, valkey)).items():
            samples[name].append(round(value, 3))
        for ended in [task for task in load if task.done() and task.exception()]:
            ended.result()
    await asyncio.gather(*load)
    return samples, done[0]


def growth(samples: Samples) -> dict[str, dict[str, float]]:
    """Of each figure, the median of its second and of its last third, as what was built up at first is no leak."""
    grown = {}
    for name, values in samples.items():
        third = max(1, len(values) // 3)
        early, late = statistics.median(values[third : 2 * third] or values), statistics.median(values[-third:])
        grown[name] = {"early": early, "late": late, "ratio": round(late / early, 3) if early else 0.0}
    return grown


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--minutes", type=float, default=10.0)
    minutes = parser.parse_args().minutes
    with TemporaryDirectory(prefix="dayshift-bench-") as folder:
        postgres, valkey = Postgres(Path(folder) / "postgres"), Valkey(Path(folder) / "valkey")

        async def start() -> None:
            await asyncio.gather(postgres.start(), valkey.start())

        async def stop() -> None:
            await asyncio.gather(postgres.close(), valkey.close())

        asyncio.run(start())
        urls = {"DAYSHIFT_DATABASE_URL": postgres.url, "DAYSHIFT_VALKEY_URL": valkey.url}
        try:
            with harness.serve(gateways=1, workers=2, slots=200, variables=urls) as served:
                samples, tasks = asyncio.run(soak(served, postgres, valkey, minutes))
        finally:
            asyncio.run(stop())
    grown = growth(samples)
    harness.report(
        f"Does anything grow in {minutes:g} minutes at full load?",
        {name: figures["late"] for name, figures in grown.items()},
        {name: figures["early"] for name, figures in grown.items()},
        {name: figures["ratio"] for name, figures in grown.items()},
        minutes=minutes,
        tasks=tasks,
        tasks_per_second=round(tasks / minutes / 60),
        samples=samples,
    )


if __name__ == "__main__":
    main()
