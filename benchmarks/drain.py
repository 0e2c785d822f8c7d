"""How many no-op tasks a second does one worker process finish, queued beforehand?

Floor: the same number of no-op coroutines as asyncio tasks, 500 at a time, in one process, with nothing kept.
"""

import asyncio
import time
from datetime import datetime
from typing import Any

from benchmarks import harness

TASKS = 20_000


async def drain(served: harness.Served) -> float:
    """Queue while the queue is paused, let go, and count from the first start to the last finish."""
    await harness.configure(served, "queues.default.paused", value=True)
    ids = await harness.submit_many(served, "noop", [{"n": n} for n in range(TASKS)])
    await harness.request_json(served, "PUT", "/v1/settings/queues.default.paused", {"value": False})
    # The order is first in, first out, so the first and the last few hold the first start and the last finish.
    first = await _finished(served, ids[0])
    last = [await _finished(served, task_id) for task_id in ids[-1000::10]]
    began = datetime.fromisoformat(first["started_at"])
    ended = max(datetime.fromisoformat(task["finished_at"]) for task in last)
    return TASKS / (ended - began).total_seconds()


async def _finished(served: harness.Served, task_id: str) -> dict[str, Any]:
    task: dict[str, Any] = await harness.request_json(served, "GET", f"/v1/tasks/{task_id}?wait=60")
    if task["status"] != "succeeded":
        raise RuntimeError(f"{task_id} is {task['status']} after 60 s")
    return task


async def _bare() -> float:
    async def noop(n: int) -> int:
        return n

    began = time.perf_counter()
    for start in range(0, TASKS, 500):
        await asyncio.gather(*(noop(n) for n in range(start, start + 500)))
    return TASKS / (time.perf_counter() - began)


def main() -> None:
    with harness.serve(gateways=1, workers=1) as served:
        answer = harness.repeated(lambda: {"tasks_per_second": asyncio.run(drain(served))})
    floor = harness.repeated(lambda: {"tasks_per_second": asyncio.run(_bare())})
    harness.report(
        "How many no-op tasks a second does one worker process finish?",
        answer,
        floor,
        {"tasks_per_second": answer["median"]["tasks_per_second"] / floor["median"]["tasks_per_second"]},
        tasks=TASKS,
        log_level="info",
        telemetry="on",
    )


if __name__ == "__main__":
    main()
