"""The response that the suite asks for by its id, put back before each test: several of them delete it."""

import asyncio
import os
import threading

import asyncpg

SEED = "677efb51-39a8-8190-b512-bc3fef8e535d"
PLANT = """
INSERT INTO tasks (id, status, tenant, agent, queue, priority, attempt, created_at, run_at, started_at, finished_at, metadata, input, output)
VALUES ($1, 'succeeded', 'default', 'anything', 'default', 5, 1, now(), now(), now(), now(), '{}', '{"input": "Who?"}', '"A seed."')
ON CONFLICT DO NOTHING
"""


async def plant():
    connection = await asyncpg.connect(os.environ["SEED_DATABASE_URL"])
    await connection.execute(PLANT, SEED)
    await connection.close()


def pytest_runtest_setup():
    thread = threading.Thread(target=asyncio.run, args=(plant(),))  # the suite has a loop of its own here
    thread.start()
    thread.join()
