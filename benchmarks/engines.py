"""Engines of a question's own, that it can lose: the same that the fault tests use, with dayshift served on them."""

import asyncio
import contextlib
from collections.abc import Iterator
from pathlib import Path
from tempfile import TemporaryDirectory

from tests.faults.postgres import Postgres
from tests.faults.valkey import Valkey

from benchmarks import harness


@contextlib.contextmanager
def served_on_engines(
    *, gateways: int = 1, workers: int = 2, slots: int, variables: dict[str, str] | None = None
) -> Iterator[tuple[harness.Served, Postgres, Valkey]]:
    """A `dayshift serve`, and what it stands on."""
    with TemporaryDirectory(prefix="dayshift-bench-") as folder:
        postgres, valkey = Postgres(Path(folder) / "postgres"), Valkey(Path(folder) / "valkey")
        asyncio.run(_start(postgres, valkey))
        urls = {"DAYSHIFT_DATABASE_URL": postgres.url, "DAYSHIFT_VALKEY_URL": valkey.url}
        try:
            with harness.serve(
                gateways=gateways, workers=workers, slots=slots, variables=urls | (variables or {})
            ) as served:
                yield served, postgres, valkey
        finally:
            asyncio.run(_close(postgres, valkey))


async def _start(postgres: Postgres, valkey: Valkey) -> None:
    await asyncio.gather(postgres.start(), valkey.start())


async def _close(postgres: Postgres, valkey: Valkey) -> None:
    await asyncio.gather(postgres.close(), valkey.close())
