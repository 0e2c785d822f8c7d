"""pgqueuer's side: two entrypoints, and `pgqueuer.run` on uvloop, which is what `pgq run` does."""

import json
import logging
import os
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import timedelta

import asyncpg
import pgqueuer
import uvloop
from pgqueuer import PgQueuer
from pgqueuer.db import AsyncpgDriver
from pgqueuer.models import Job

from benchmarks.peers import model_calls, witness

model_calls.prepare()


@asynccontextmanager
async def main() -> AsyncIterator[PgQueuer]:
    """One direct connection for the manager, as the performance guide asks."""
    connection = await asyncpg.connect(os.environ["DATABASE_URL"])
    queue = PgQueuer(AsyncpgDriver(connection))

    @queue.entrypoint("noop")
    async def noop(_job: Job) -> None:
        witness.enter()

    @queue.entrypoint("agent")
    async def agent(job: Job) -> None:
        witness.enter()
        task = json.loads(job.payload or b"{}")
        for turn in range(task["calls"]):
            await model_calls.call(task["number"], turn)

    try:
        yield queue
    finally:
        await connection.close()


if __name__ == "__main__":
    logging.basicConfig(level=logging.WARNING)
    heartbeat_timeout = timedelta(seconds=float(os.environ["HEARTBEAT_TIMEOUT"]))
    uvloop.run(pgqueuer.run(main, batch_size=int(os.environ["BATCH_SIZE"]), heartbeat_timeout=heartbeat_timeout))
