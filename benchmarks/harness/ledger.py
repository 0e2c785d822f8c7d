"""What the ledger says of the tasks of a run: exact, and without asking the gateway thousands of times."""

import asyncio
from collections.abc import Sequence

import asyncpg

from benchmarks.harness.serving import Served

SECONDS_TO_FINISH = 300.0
_LOOK_SECONDS = 0.05

_SPAN = """
SELECT count(*) FILTER (WHERE status = 'succeeded') AS succeeded,
    count(*) FILTER (WHERE status IN ('failed', 'cancelled')) AS ended_otherwise,
    extract(epoch FROM max(finished_at) - min(started_at))::float8 AS seconds
FROM tasks WHERE id = ANY ($1::uuid[])
"""


async def seconds_from_first_start_to_last_finish(served: Served, task_ids: Sequence[str]) -> float:
    """Wait until all have succeeded; raises when one ends otherwise, or after five minutes."""
    ids = [task_id.removeprefix("task_") for task_id in task_ids]
    connection = await asyncpg.connect(served.database_url)
    try:
        async with asyncio.timeout(SECONDS_TO_FINISH):
            # The last are looked at while the others run, which costs the database next to nothing.
            for some in (ids[-1:], ids[-100:], ids):
                while (row := await connection.fetchrow(_SPAN, some))["succeeded"] < len(some):
                    if row["ended_otherwise"]:
                        raise RuntimeError(f"{row['ended_otherwise']} of {len(ids)} tasks did not succeed")
                    await asyncio.sleep(_LOOK_SECONDS)
        seconds: float = row["seconds"]
        return seconds
    finally:
        await connection.close()


async def until(connection: asyncpg.Connection, expected: object, query: str, *arguments: object) -> None:
    """Until a query answers so; raises after five minutes."""
    async with asyncio.timeout(SECONDS_TO_FINISH):
        while await connection.fetchval(query, *arguments) != expected:  # noqa: ASYNC110 - others change it
            await asyncio.sleep(_LOOK_SECONDS)
