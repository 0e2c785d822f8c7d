"""DBOS's side: a queue worker as its documentation builds one, on uvloop; an LLM call is a step, so it is checkpointed."""

import asyncio
import os

import uvloop
from dbos import DBOS

from benchmarks.peers import model_calls, witness

model_calls.prepare()

QUEUE = "work"


@DBOS.workflow(name="noop")
async def noop(number: int) -> int:
    """Nothing, and its number."""
    witness.enter()
    return number


@DBOS.step(name="call")
async def call(number: int, turn: int) -> str:
    """One call; its answer is kept, so that a recovered workflow does not make it again."""
    return await model_calls.call(number, turn)


@DBOS.workflow(name="agent")
async def agent(number: int, calls: int) -> int:
    """That many steps, one after another."""
    witness.enter()
    for turn in range(calls):
        await call(number, turn)
    return number


async def main() -> None:
    """Launched inside a running loop, DBOS runs its coroutines there."""
    config = {
        "name": "peers",
        "application_version": "1",
        "system_database_url": os.environ["DATABASE_URL"],
        "console_log_level": "WARNING",
    }
    if executor := os.environ.get("EXECUTOR"):
        config["executor_id"] = executor
    DBOS(config=config)
    DBOS.launch()
    limit = int(os.environ["WORKER_CONCURRENCY"]) or None
    await DBOS.register_queue_async(
        QUEUE, polling_interval_sec=float(os.environ["POLLING_INTERVAL"]), worker_concurrency=limit
    )
    await asyncio.Event().wait()


if __name__ == "__main__":
    uvloop.run(main())
