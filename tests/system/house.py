"""A real `dayshift serve` or `run` for a test: its processes, its HTTP door, its log, and its ledger to look into."""

import asyncio
import json
import os
import signal
import ssl
import sys
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

import asyncpg
import httpx2

from dayshift.domain import api_keys
from dayshift.ledger import Ledger, NewKey

AGENTS = Path(__file__).with_name("agents.py")


class House:
    """Started by the fixture `house`; every process it starts is ended with it."""

    def __init__(self, folder: Path, environment: dict[str, str]) -> None:
        self.folder = folder
        self.environment = environment
        self.log_path = folder / "log.jsonl"
        self.process: asyncio.subprocess.Process | None = None
        self.url = ""
        self.http = httpx2.AsyncClient()
        self._log = self.log_path.open("ab")

    async def start(
        self,
        *arguments: str,
        key: str | None = None,
        folder: Path | None = None,
        trust: ssl.SSLContext | None = None,
    ) -> None:
        """Start `python -m dayshift ARGUMENTS` on a free port, in a folder, and wait until it is ready. With `trust` over TLS."""
        port = free_port()
        self.environment["DAYSHIFT_PORT"] = str(port)
        self.url = f"http{'s' if trust else ''}://127.0.0.1:{port}"
        self.process = await asyncio.create_subprocess_exec(
            sys.executable,
            "-m",
            "dayshift",
            *arguments,
            env=self.environment,
            cwd=folder,
            stdout=self._log,
            stderr=self._log,
        )
        headers = {"Authorization": f"Bearer {key}"} if key else {}
        await self.http.aclose()
        self.http = httpx2.AsyncClient(base_url=self.url, headers=headers, timeout=90, verify=trust or True)
        await self.until(self._is_ready, "ready")

    async def serve(self, *, gateways: int = 1, workers: int = 2, slots: int = 200, file: Path = AGENTS) -> None:
        key = await self.first_key()
        counts = ("--gateways", str(gateways), "--workers", str(workers), "--slots", str(slots))
        await self.start("serve", str(file), *counts, key=key)
        await self.until(lambda: self.has_workers(workers), f"{workers} workers")

    async def first_key(self) -> str:
        """An administrator's key, while nothing runs that would have to hear of it: that saves two processes."""
        made = api_keys.make_key()
        key = NewKey(id=made.id, hash=made.hash, prefix=made.prefix, tenant="acme", scopes=["admin"])
        async with Ledger(self.environment["DAYSHIFT_DATABASE_URL"], pool_size=1) as ledger:
            await ledger.migrate()
            await ledger.keys.create(key)
        return made.secret

    async def make_key(self, tenant: str, *, scope: str = "submit") -> str:
        """A key that opens the door at once."""
        made = await self.cli("keys", "create", "--tenant", tenant, "--scope", scope, "--json")
        key: str = json.loads(made)["key"]
        return key

    async def cli(self, *arguments: str, expect: int = 0) -> str:
        """Run a command to its end; returns its stdout. Its exit status must be `expect`."""
        process = await asyncio.create_subprocess_exec(
            sys.executable,
            "-m",
            "dayshift",
            *arguments,
            env=self.environment,
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.PIPE,
        )
        out, err = await process.communicate()
        assert process.returncode == expect, f"dayshift {arguments} ended with {process.returncode}: {err.decode()}"
        return out.decode() if expect == 0 else err.decode()

    async def submit(self, agent: str, value: Any, **fields: Any) -> dict[str, Any]:
        headers = fields.pop("headers", {})
        answer = await self.http.post("/v1/tasks", json={"agent": agent, "input": value, **fields}, headers=headers)
        assert answer.status_code == 202, answer.text
        task: dict[str, Any] = answer.json()
        return task

    async def submit_many(self, items: list[dict[str, Any]]) -> list[str]:
        ids: list[str] = []
        for start in range(0, len(items), 1000):
            answer = await self.http.post("/v1/tasks/batch", json={"tasks": items[start : start + 1000]})
            assert answer.status_code == 202, answer.text
            ids += [row["id"] for row in answer.json()["data"]]
        return ids

    async def get(self, path: str) -> Any:
        answer = await self.http.get(path)
        assert answer.status_code == 200, answer.text
        return answer.json()

    async def ended(self, task_id: str) -> dict[str, Any]:
        """The task once it has ended, by long-polls; waits out a gateway that is being replaced."""
        async with asyncio.timeout(100):
            while True:
                try:
                    task: dict[str, Any] = await self.get(f"/v1/tasks/{task_id}?wait=30")
                except httpx2.TransportError:
                    await asyncio.sleep(0.1)
                    continue
                if task["finished_at"] is not None:
                    return task

    async def all_ended(self, ids: list[str]) -> list[dict[str, Any]]:
        return list(await asyncio.gather(*(self.ended(task_id) for task_id in ids)))

    async def workers(self) -> list[dict[str, Any]]:
        rows: list[dict[str, Any]] = (await self.get("/v1/workers"))["data"]
        return rows

    async def configure(self, path: str, value: Any) -> None:
        answer = await self.http.put(f"/v1/settings/{path}", json={"value": value})
        assert answer.status_code == 200, answer.text

    async def until(self, condition: Callable[[], Awaitable[bool]], what: str, *, seconds: float = 60) -> None:
        """Look until it is so. Fails with the log's end when the process ends first or the time runs out."""
        try:
            async with asyncio.timeout(seconds):
                while not await condition():
                    assert self.process is None or self.process.returncode is None, self.log()[-4000:]
                    await asyncio.sleep(0.02)
        except TimeoutError:
            raise AssertionError(f"not {what} after {seconds} s:\n{self.log()[-4000:]}") from None

    def log(self) -> str:
        return self.log_path.read_text()

    def log_events(self, name: str) -> list[dict[str, Any]]:
        """The JSON log lines whose event bears that name."""
        lines = [json.loads(line) for line in self.log().splitlines() if line.startswith("{")]
        return [line for line in lines if line.get("event") == name]

    async def rows(self, sql: str, *arguments: Any) -> list[asyncpg.Record]:
        """Look into the ledger, past every room."""
        connection = await asyncpg.connect(self.environment["DAYSHIFT_DATABASE_URL"])
        try:
            return list(await connection.fetch(sql, *arguments))
        finally:
            await connection.close()

    async def stop(self) -> int:
        """SIGTERM, and wait for the end; returns the exit status."""
        assert self.process is not None
        if self.process.returncode is None:
            self.process.send_signal(signal.SIGTERM)
        return await asyncio.wait_for(self.process.wait(), 60)

    async def close(self) -> None:
        await self.http.aclose()  # first, or the gateway lingers for the connections that are kept alive
        if self.process is not None and self.process.returncode is None:
            self.process.send_signal(signal.SIGTERM)
            self.process.send_signal(signal.SIGTERM)
            try:
                await asyncio.wait_for(self.process.wait(), 20)
            except TimeoutError:
                self.process.kill()
                await self.process.wait()
        self._log.close()

    async def _is_ready(self) -> bool:
        try:
            return (await self.http.get("/readyz")).status_code == 200
        except httpx2.TransportError:
            return False

    async def has_workers(self, count: int) -> bool:
        return len(await self.workers()) >= count


def free_port() -> int:
    import socket

    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def clean_environment() -> dict[str, str]:
    """Ours, without what would name other engines or providers."""
    foreign = ("DAYSHIFT_", "OPENAI_", "ANTHROPIC_")
    return {name: value for name, value in os.environ.items() if not name.startswith(foreign)}
