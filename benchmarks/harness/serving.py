"""A running dayshift for a question to ask: `serve` as a user starts it, or its processes with nobody above them."""

import asyncio
import contextlib
import json
import os
import signal
import socket
import subprocess
import sys
import tempfile
import time
import urllib.request
from collections.abc import Coroutine, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, TypeVar

import uvloop

from benchmarks.harness.client import request_json
from dayshift.embedded import start_engines

ROOT = Path(__file__).resolve().parent.parent.parent
AGENTS = ROOT / "benchmarks" / "agents.py"
DAYSHIFT = (sys.executable, "-m", "dayshift")
SECONDS_TO_START = 60.0
_IN_FORCE_SECONDS = 1.2  # a setting is in force everywhere within a second, by contract

T = TypeVar("T")


@dataclass
class Served:
    """A running dayshift: its first process, its address, an admin's key, its ledger."""

    process: subprocess.Popen[bytes]
    host: str
    port: int
    key: str
    database_url: str = ""
    valkey_url: str = ""
    roots: list[int] = field(default_factory=list)  # the processes below which everything of it is found

    def workers(self) -> list[dict[str, Any]]:
        rows: list[dict[str, Any]] = run(request_json(self, "GET", "/v1/workers"))["data"]
        return rows


def run(main: Coroutine[Any, Any, T]) -> T:
    """A load generator's event loop."""
    return uvloop.run(main)


@contextlib.contextmanager
def serve(
    *,
    gateways: int = 1,
    workers: int = 1,
    slots: int | None = None,
    options: Sequence[str] = (),
    variables: dict[str, str] | None = None,
) -> Iterator[Served]:
    """Start `dayshift serve` with embedded engines on a fresh folder; stop it afterwards."""
    with tempfile.TemporaryDirectory(prefix="dayshift-bench-") as folder:
        port = free_port()
        all_variables = environment(Path(folder), port) | (variables or {})
        command = [*DAYSHIFT, "serve", str(AGENTS), "--gateways", str(gateways), "--workers", str(workers), *options]
        if slots is not None:
            command += ["--slots", str(slots)]
        with _started(command, all_variables, Path(folder) / "serve.log") as process:
            wait_until_ready(process, port, Path(folder) / "serve.log")
            served = admit(process, port, all_variables, workers=workers)
            served.database_url, served.valkey_url = _engines_of(all_variables, Path(folder))
            served.roots = [process.pid]
            yield served


def _engines_of(variables: dict[str, str], folder: Path) -> tuple[str, str]:
    """The URLs that were given, or those of the embedded engines."""
    if "DAYSHIFT_DATABASE_URL" in variables:
        return variables["DAYSHIFT_DATABASE_URL"], variables["DAYSHIFT_VALKEY_URL"]
    urls = json.loads((folder / "engines.json").read_text())
    return urls["database_url"], urls["valkey_url"]


@contextlib.contextmanager
def fleet(
    *,
    workers: int = 1,
    slots: int = 100,
    variables: dict[str, str] | None = None,
    command: Sequence[str] = DAYSHIFT,
    preload: str = "",
) -> Iterator[Served]:
    """A gateway, maintenance and workers that nobody supervises, as under an orchestrator, each started by `command`.

    `preload` names a library that PostgreSQL loads at its start.
    """
    with tempfile.TemporaryDirectory(prefix="dayshift-bench-") as folder, contextlib.ExitStack() as running:
        if preload:
            _preload(Path(folder), preload)
        engines = running.enter_context(start_engines(Path(folder)))
        port = free_port()
        all_variables = environment(Path(folder), port) | (variables or {})
        all_variables |= {"DAYSHIFT_DATABASE_URL": engines.database_url, "DAYSHIFT_VALKEY_URL": engines.valkey_url}
        dayshift(all_variables, "migrate")
        kinds = [["gateway"], ["maintenance"], *[["worker", str(AGENTS), "--slots", str(slots)]] * workers]
        log = Path(folder) / "processes.log"
        processes = [running.enter_context(_started([*command, *kind], all_variables, log)) for kind in kinds]
        wait_until_ready(processes[0], port, log)
        served = admit(processes[0], port, all_variables, workers=workers)
        served.database_url, served.valkey_url = engines.database_url, engines.valkey_url
        served.roots = [*(process.pid for process in processes), *engines.pids]
        yield served


@contextlib.contextmanager
def _started(command: Sequence[str], variables: dict[str, str], log: Path) -> Iterator[subprocess.Popen[bytes]]:
    with log.open("ab") as output:
        process = subprocess.Popen(command, env=variables, stdout=output, stderr=output)
        try:
            yield process
        finally:
            process.send_signal(signal.SIGTERM)
            process.wait(60)


def _preload(folder: Path, library: str) -> None:
    """Make the cluster, and note for its next start what to load."""
    start_engines(folder).stop()
    with (folder / "postgres" / "postgresql.conf").open("a") as config:
        config.write(f"shared_preload_libraries = '{library}'\n")


def environment(folder: Path, port: int) -> dict[str, str]:
    """Ours, on a folder and a port of the benchmark's own."""
    return {
        **os.environ,
        "DAYSHIFT_DATA": str(folder),
        "DAYSHIFT_HOST": "127.0.0.1",
        "DAYSHIFT_PORT": str(port),
        "OPENAI_API_KEY": "unused",
    }


def dayshift(variables: dict[str, str], *arguments: str) -> bytes:
    """Run a command to its end; its stdout."""
    return subprocess.run([*DAYSHIFT, *arguments], env=variables, capture_output=True, check=True).stdout


def admit(process: subprocess.Popen[bytes], port: int, variables: dict[str, str], *, workers: int) -> Served:
    """Make a key, raise the limits that benchmarks exceed, and wait for the workers."""
    made = dayshift(variables, "keys", "create", "--tenant", "bench", "--scope", "admin", "--json")
    served = Served(process, "127.0.0.1", port, json.loads(made)["key"])
    run(raise_limits(served))
    deadline = time.monotonic() + SECONDS_TO_START
    while len(served.workers()) < workers:
        if time.monotonic() > deadline:
            raise RuntimeError(f"fewer than {workers} workers after {SECONDS_TO_START:g} s")
        time.sleep(0.1)
    return served


async def raise_limits(served: Served) -> None:
    """Benchmarks queue more than a tenant usually may."""
    for path in ("tenants.bench.max_queued", "queues.default.max_depth"):
        await request_json(served, "PUT", f"/v1/settings/{path}", {"value": 10_000_000})
    await asyncio.sleep(_IN_FORCE_SECONDS)


async def configure(served: Served, path: str, value: Any) -> None:
    """Change a setting, and wait until it is in force in every process."""
    await request_json(served, "PUT", f"/v1/settings/{path}", {"value": value})
    await asyncio.sleep(_IN_FORCE_SECONDS)


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


def wait_until_ready(process: subprocess.Popen[bytes], port: int, log: Path) -> None:
    deadline = time.monotonic() + SECONDS_TO_START
    while time.monotonic() < deadline:
        if process.poll() is not None:
            raise RuntimeError(f"dayshift ended with status {process.returncode}:\n{log.read_text()[-3000:]}")
        with (
            contextlib.suppress(OSError),
            urllib.request.urlopen(f"http://127.0.0.1:{port}/readyz", timeout=1) as answer,
        ):
            if answer.status == 200:
                return
        time.sleep(0.05)
    raise RuntimeError(f"dayshift was not ready after {SECONDS_TO_START:g} s:\n{log.read_text()[-3000:]}")
