"""What the benchmarks share: a real `dayshift serve` on a folder of its own, a raw HTTP client, and the report.

The load generator speaks HTTP/1.1 over bare asyncio streams, so that what is measured is the server and not a client
library. It runs in a process of its own (the benchmark's), on the same machine as everything else.
"""

import asyncio
import contextlib
import json
import os
import platform
import signal
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parent.parent
AGENTS = ROOT / "benchmarks" / "agents.py"
REPEATS = int(os.environ.get("REPEATS", "3"))


class Served:
    """A running `dayshift serve`: its process, its address and an admin's key."""

    def __init__(self, process: subprocess.Popen[bytes], host: str, port: int, key: str) -> None:
        self.process = process
        self.host = host
        self.port = port
        self.key = key

    def workers(self) -> list[dict[str, Any]]:
        rows: list[dict[str, Any]] = asyncio.run(request_json(self, "GET", "/v1/workers"))["data"]
        return rows


@contextlib.contextmanager
def serve(
    *, gateways: int = 1, workers: int = 1, slots: int | None = None, variables: dict[str, str] | None = None
) -> Iterator[Served]:
    """Start `dayshift serve` with embedded engines on a fresh folder; stop it afterwards."""
    with tempfile.TemporaryDirectory(prefix="dayshift-bench-") as folder:
        port = free_port()
        all_variables = environment(Path(folder), port) | (variables or {})
        command = [sys.executable, "-m", "dayshift", "serve", str(AGENTS)]
        command += ["--gateways", str(gateways), "--workers", str(workers)]
        if slots is not None:
            command += ["--slots", str(slots)]
        log = (Path(folder) / "serve.log").open("wb")
        process = subprocess.Popen(command, env=all_variables, stdout=log, stderr=log)
        try:
            wait_until_ready(process, port, Path(folder) / "serve.log")
            yield admit(process, port, all_variables, workers=workers)
        finally:
            process.send_signal(signal.SIGTERM)
            process.wait(60)
            log.close()


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
    command = [sys.executable, "-m", "dayshift", *arguments]
    return subprocess.run(command, env=variables, capture_output=True, check=True).stdout


def admit(process: subprocess.Popen[bytes], port: int, variables: dict[str, str], *, workers: int) -> Served:
    """Make a key, raise the limits that benchmarks exceed, and wait for the workers."""
    made = dayshift(variables, "keys", "create", "--tenant", "bench", "--scope", "admin", "--json")
    served = Served(process, "127.0.0.1", port, json.loads(made)["key"])
    asyncio.run(raise_limits(served))
    while len(served.workers()) < workers:
        time.sleep(0.1)
    return served


async def raise_limits(served: Served) -> None:
    """Benchmarks queue more than a tenant usually may."""
    await configure(served, "tenants.bench.max_queued", 10_000_000)
    await configure(served, "queues.default.max_depth", 10_000_000)


async def configure(served: Served, path: str, value: Any) -> None:
    """Change a setting, and wait until it is in force in every process (within a second, by contract)."""
    await request_json(served, "PUT", f"/v1/settings/{path}", {"value": value})
    await asyncio.sleep(1.2)


def free_port() -> int:
    import socket

    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


def wait_until_ready(process: subprocess.Popen[bytes], port: int, log: Path) -> None:
    import urllib.request

    deadline = time.monotonic() + 60
    while time.monotonic() < deadline:
        if process.poll() is not None:
            raise RuntimeError(f"dayshift serve ended with status {process.returncode}:\n{log.read_text()[-3000:]}")
        with (
            contextlib.suppress(OSError),
            urllib.request.urlopen(f"http://127.0.0.1:{port}/readyz", timeout=1) as answer,
        ):
            if answer.status == 200:
                return
        time.sleep(0.05)
    raise RuntimeError(f"dayshift serve was not ready after 60 s:\n{log.read_text()[-3000:]}")


class Connection:
    """One keep-alive HTTP/1.1 connection that sends prepared requests and reads whole answers."""

    def __init__(self, host: str, port: int, key: str) -> None:
        self._host, self._port, self._key = host, port, key
        self._reader: asyncio.StreamReader
        self._writer: asyncio.StreamWriter

    async def open(self) -> "Connection":
        self._reader, self._writer = await asyncio.open_connection(self._host, self._port)
        return self

    async def close(self) -> None:
        self._writer.close()
        await self._writer.wait_closed()

    def encode(self, method: str, path: str, body: bytes = b"", headers: dict[str, str] | None = None) -> bytes:
        lines = [f"{method} {path} HTTP/1.1", f"Host: {self._host}:{self._port}", f"Authorization: Bearer {self._key}"]
        lines += [f"{name}: {value}" for name, value in (headers or {}).items()]
        if body:
            lines += ["Content-Type: application/json", f"Content-Length: {len(body)}"]
        return "\r\n".join(lines).encode() + b"\r\n\r\n" + body

    async def send(self, encoded: bytes) -> tuple[int, bytes]:
        self._writer.write(encoded)
        head = await self._reader.readuntil(b"\r\n\r\n")
        status = int(head[9:12])
        lower = head.lower()
        at = lower.find(b"content-length:")
        if at >= 0:
            length = int(lower[at + 15 : lower.index(b"\r\n", at)])
            return status, await self._reader.readexactly(length)
        chunks = []
        while size := int(await self._reader.readline(), 16):
            chunks.append(await self._reader.readexactly(size))
            await self._reader.readexactly(2)
        await self._reader.readexactly(2)
        return status, b"".join(chunks)


async def request_json(served: Served, method: str, path: str, body: Any = None) -> Any:
    connection = await Connection(served.host, served.port, served.key).open()
    try:
        encoded = connection.encode(method, path, b"" if body is None else json.dumps(body).encode())
        status, answer = await connection.send(encoded)
        if status >= 400:
            raise RuntimeError(f"{method} {path} answered {status}: {answer[:500]!r}")
        return json.loads(answer)
    finally:
        await connection.close()


async def submit_many(served: Served, agent: str, inputs: list[Any], *, batch: int = 1000) -> list[str]:
    """Queue tasks by batches over one connection; returns their ids."""
    connection = await Connection(served.host, served.port, served.key).open()
    ids: list[str] = []
    for start in range(0, len(inputs), batch):
        body = {"tasks": [{"agent": agent, "input": value} for value in inputs[start : start + batch]]}
        status, answer = await connection.send(connection.encode("POST", "/v1/tasks/batch", json.dumps(body).encode()))
        rows = json.loads(answer)["data"] if status == 202 else []
        if status != 202 or any("id" not in row for row in rows):
            raise RuntimeError(f"the batch was answered {status}: {answer[:500]!r}")
        ids += [row["id"] for row in rows]
    await connection.close()
    return ids


async def queue_of(served: Served, name: str = "default") -> dict[str, Any]:
    rows = (await request_json(served, "GET", "/v1/queues"))["data"]
    return next((row for row in rows if row["name"] == name), {"ready": 0, "running": 0, "delayed": 0, "waiting": 0})


def percentile(values: list[float], share: float) -> float:
    ordered = sorted(values)
    return ordered[min(len(ordered) - 1, int(share * len(ordered)))]


def repeated(measure: Callable[[], dict[str, float]], repeats: int = REPEATS) -> dict[str, Any]:
    """Measure several times; the median of each figure, and every run."""
    return summary_of([measure() for _ in range(repeats)])


def summary_of(runs: list[dict[str, float]]) -> dict[str, Any]:
    medians = {name: round(statistics.median(run[name] for run in runs), 4) for name in runs[0]}
    return {"median": medians, "runs": runs}


def report(question: str, answer: dict[str, Any], floor: dict[str, Any], ratio: dict[str, float], **named: Any) -> None:
    """Print the one JSON object of a benchmark."""
    print(
        json.dumps(
            {
                "question": question,
                "answer": answer,
                "floor": floor,
                "ratio": {name: round(value, 3) for name, value in ratio.items()},
                "named": {"cores": os.cpu_count(), "python": platform.python_version(), **named},
            },
            indent=2,
        )
    )
