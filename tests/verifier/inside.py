"""What the ledger itself holds when a run is over: rows, diary, journal, and conversations that count something unfinished."""

import asyncio
import json
from typing import Any

import asyncpg
import msgspec

from dayshift.journal import unpack
from dayshift.llm.capture import answers
from tests.verifier import diary
from tests.verifier.record import Record, Recorded, seconds_of

READ_ROWS = """
SELECT id, seq, status, attempt, failures, losses, worker_id, created_at, run_at, finished_at, error_code, error_message,
    conversation, tenant, agent, priority, input, output, parent_id FROM tasks ORDER BY seq
"""
READ_EFFECTS = "SELECT task_id, id, kind, name, status, attempt, replayed_by, result FROM effects ORDER BY id"
WORKED = frozenset({"step", "tool"})


async def complete(record: Record, url: str, patience_seconds: float) -> None:
    """Wait until every task has ended, and write down what the ledger says."""
    connection = await asyncpg.connect(url)
    await _until_all_ended(connection, patience_seconds)
    record.rows = [_row(dict(found)) for found in await connection.fetch(READ_ROWS)]
    for row in record.rows:
        if row["parent_id"] is not None:
            record.task_ids[row["input"]["label"]].add(row["id"])
    record.diary = await diary.read(connection)
    record.effects = [_recorded(dict(found)) for found in await connection.fetch(READ_EFFECTS)]
    record.conversations_unfinished = await connection.fetchval(
        "SELECT count(*) FROM conversations WHERE unfinished > 0"
    )
    await connection.close()


async def _until_all_ended(connection: asyncpg.Connection, patience_seconds: float) -> None:
    """A task that nobody awaits may still run when the programs are over."""
    try:
        async with asyncio.timeout(patience_seconds):
            while await connection.fetchval("SELECT count(*) FROM tasks WHERE finished_at IS NULL"):
                await asyncio.sleep(0.2)
    except TimeoutError:
        return  # what has not ended is found by the account


def _row(row: dict[str, Any]) -> dict[str, Any]:
    row["id"] = f"task_{row['id']}"
    row["parent_id"] = f"task_{row['parent_id']}" if row["parent_id"] else None
    row["worker_id"] = str(row["worker_id"]) if row["worker_id"] else None
    for name in ("created_at", "run_at", "finished_at"):
        row[name] = seconds_of(row[name]) if row[name] is not None else None
    for name in ("input", "output"):
        row[name] = json.loads(row[name]) if row[name] is not None else None
    return row


def _recorded(found: dict[str, Any]) -> Recorded:
    result = found.pop("result")
    found |= {"task_id": f"task_{found['task_id']}", "id": f"effect_{found['id']}"}
    return Recorded(**found, word=_word(found["kind"], unpack(result)) if found["status"] == "done" else None)


def _word(kind: str, result: bytes) -> str | None:
    if kind in WORKED:
        return str(msgspec.json.decode(result))
    return _answered(answers.decode(result)) if kind == "llm" else None


def _answered(answer: answers.Answer) -> str:
    """The text of a chat completion, whole or streamed."""
    if not answer.is_stream:
        return str(json.loads(answer.body)["choices"][0]["message"]["content"])
    lines = [line.removeprefix("data: ") for line in answer.body.decode().splitlines() if line.startswith("data: {")]
    chunks = [choice for line in lines for choice in json.loads(line)["choices"]]
    return "".join(chunk["delta"].get("content") or "" for chunk in chunks)
