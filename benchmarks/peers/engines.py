"""What every run starts afresh: PostgreSQL and Valkey from the embedded binaries, and the commandable provider."""

import contextlib
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

from dayshift.embedded import start_engines


@contextlib.contextmanager
def engines(folder: Path) -> Iterator[tuple[dict[str, str], list[int]]]:
    """The variables that name them, and their process ids."""
    with start_engines(folder / "engines") as started, _provider() as provider_url:
        variables = {
            "RUN_FOLDER": str(folder),
            "DATABASE_URL": started.database_url,
            "VALKEY_URL": started.valkey_url,
            "PROVIDER_URL": provider_url,
        }
        yield variables, started.pids


@contextlib.contextmanager
def _provider() -> Iterator[str]:
    command = [sys.executable, "-m", "dayshift.fakellm", "--port", "0", "--latency", "1.0"]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
    assert process.stdout is not None
    try:
        yield process.stdout.readline().strip()
    finally:
        process.terminate()
        process.wait(10)
