"""Brings the schema up to date, in two steps a release, so that old code works while new code is rolled out.

Files are `NNNN_pre_NAME.sql` and `NNNN_post_NAME.sql`, numbered in one row and never changed once released (a checksum
is recorded and compared).

- A **pre** step runs before the new code starts. The code before it must go on working on its outcome: it adds tables,
  nullable columns, indexes, functions; it drops and renames nothing.
- A **post** step runs when no process of the old code is left: it takes away what only the old code needed. The new
  code must work before and after it. `migrate(post=True)` runs it; plain `migrate()` never does.

So code meets four states: *current* (every pre step it knows is there), *behind*, *ahead* (a newer release has run pre
steps that this code does not know, which is fine) and *too_new* (an unknown post step has run: this code must not start).

All pending steps run in one transaction under an advisory lock that the transaction holds: of several processes that
start at once one migrates, the others wait and find nothing to do, and a failure leaves nothing half done.
"""

import hashlib
import re
from importlib.resources import files

from msgspec import Struct

from dayshift.ledger.database import Connection, Database
from dayshift.ledger.errors import LedgerMisfit
from dayshift.ledger.shapes import SchemaState

_LOCK = 0x0DA7_5817  # any number that nobody else takes: "day shift"
_FILE = re.compile(r"^(?P<number>\d{4})_(?P<step>pre|post)_[a-z0-9_]+\.sql$")
_TABLE = """
CREATE TABLE IF NOT EXISTS schema_migrations (
    name       text        PRIMARY KEY,
    checksum   text        NOT NULL,
    applied_at timestamptz NOT NULL DEFAULT clock_timestamp()
)
"""


class Migration(Struct, frozen=True):
    """One step: its file name without `.sql`, and its text."""

    name: str
    sql: str

    @property
    def is_post(self) -> bool:
        return is_post(self.name)

    @property
    def checksum(self) -> str:
        return hashlib.sha256(self.sql.encode()).hexdigest()


def is_post(name: str) -> bool:
    """Whether a step of that name takes something away from older code."""
    return name[5:].startswith("post_")


def load() -> list[Migration]:
    """The steps of this release, in order."""
    steps: list[Migration] = []
    for file in sorted(files(__package__).joinpath("migrations").iterdir(), key=lambda entry: entry.name):
        if not file.name.endswith(".sql"):
            continue
        if _FILE.match(file.name) is None:
            raise ValueError(f"{file.name}: a migration is named NNNN_pre_NAME.sql or NNNN_post_NAME.sql")
        steps.append(Migration(file.name.removesuffix(".sql"), file.read_text(encoding="utf-8")))
    numbers = [step.name[:4] for step in steps]
    if len(set(numbers)) != len(numbers):
        raise ValueError("two migrations have the same number")
    return steps


async def migrate(database: Database, steps: list[Migration] | None = None, *, post: bool = False) -> list[str]:
    """Run the pending steps; answer their names."""
    steps = load() if steps is None else steps
    async with database.transaction() as connection:
        await connection.execute("SET LOCAL statement_timeout = 0; SET LOCAL lock_timeout = 0")
        await connection.execute(f"SELECT pg_advisory_xact_lock({_LOCK})", timeout=600.0)
        await connection.execute("SET LOCAL lock_timeout = '10s'")
        await connection.execute(_TABLE)
        applied = await _applied(connection)
        _compare(steps, applied)
        pending = [step for step in steps if step.name not in applied and (post or not step.is_post)]
        for step in pending:
            await connection.execute(step.sql, timeout=600.0)
            await connection.execute(
                "INSERT INTO schema_migrations (name, checksum) VALUES ($1, $2)", step.name, step.checksum
            )
    return [step.name for step in pending]


async def schema_state(database: Database, steps: list[Migration] | None = None) -> SchemaState:
    """How the schema stands to this code."""
    steps = load() if steps is None else steps
    async with database.connection() as connection:
        exists = await connection.fetchval("SELECT to_regclass('schema_migrations') IS NOT NULL")
        applied = await _applied(connection) if exists else {}
    known = {step.name for step in steps}
    unknown = applied.keys() - known
    if any(is_post(name) for name in unknown):
        return "too_new"
    if any(step.name not in applied for step in steps if not step.is_post):
        return "behind"
    return "ahead" if unknown else "current"


async def _applied(connection: Connection) -> dict[str, str]:
    rows = await connection.fetch("SELECT name, checksum FROM schema_migrations")
    return {row["name"]: row["checksum"] for row in rows}


def _compare(steps: list[Migration], applied: dict[str, str]) -> None:
    for step in steps:
        if applied.get(step.name, step.checksum) != step.checksum:
            raise LedgerMisfit(
                f"Migration {step.name} was changed after it had run on this database. "
                "Restore the released file, and put the change into a new one."
            )
