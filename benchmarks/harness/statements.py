"""What each named statement of the ledger cost, as PostgreSQL itself counts it (pg_stat_statements).

It keeps a statement's text without its comment, with a parameter in the place of every constant: so both texts are worn
down to what they share.
"""

import re

import asyncpg

from dayshift.ledger.statements import SQL

LIBRARY = "pg_stat_statements"

_WORN_AWAY = re.compile(r"/\*.*?\*/|--[^\n]*|'[^']*'|\$?\b\d+(\.\d+)?\b|\s+", re.DOTALL)
_LIST_OF_NOTHING = re.compile(r"\(,*\)")  # a list of constants is kept as one


async def begin_counting(connection: asyncpg.Connection) -> None:
    """From now on. PostgreSQL must have loaded the library at its start."""
    await connection.execute(f"CREATE EXTENSION IF NOT EXISTS {LIBRARY}")
    await connection.execute("SELECT pg_stat_statements_reset()")


async def counted(connection: asyncpg.Connection) -> dict[str, dict[str, float]]:
    """For each named statement that ran: calls, milliseconds in all and a call, and buffers a call; the dearest first."""
    names = {_worn(sql): name for name, sql in SQL.items()}
    rows = await connection.fetch(
        "SELECT query, calls, total_exec_time, shared_blks_hit + shared_blks_read AS blocks FROM pg_stat_statements"
        " ORDER BY total_exec_time DESC"
    )
    return {
        name: {
            "calls": row["calls"],
            "total_ms": round(row["total_exec_time"], 1),
            "ms_a_call": round(row["total_exec_time"] / row["calls"], 3),
            "buffers_a_call": round(row["blocks"] / row["calls"], 1),
        }
        for row in rows
        if (name := names.get(_worn(row["query"])))
    }


def _worn(sql: str) -> str:
    return _LIST_OF_NOTHING.sub("()", _WORN_AWAY.sub("", sql))
