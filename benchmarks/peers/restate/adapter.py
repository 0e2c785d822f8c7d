"""How Restate is started, fed and watched: its server is a program of its own, its workers are HTTP/2 endpoints."""

import asyncio
import os
import subprocess
import sys
import time
from pathlib import Path
from typing import Any, ClassVar

from benchmarks.peers.http_client import Pool
from benchmarks.peers.peer import Command, Peer
from benchmarks.peers.processes import free_port, wait_until_listening

SUBMITTERS = 64
SUBMITTED_PER_SECOND = 1000  # at least; sets how far ahead queued work is due
HYPERCORN = """
h2_max_concurrent_streams = 2147483647
keep_alive_max_requests = 2147483647
keep_alive_timeout = 2147483647
worker_class = "uvloop"
loglevel = "WARNING"
"""


class Restate(Peer):
    """A durable engine with a log of its own in Rust, which pushes work to Python handlers over HTTP/2."""

    name = "restate"
    packages = ("restate-sdk", "Hypercorn", "uvloop", "openai")
    engines = ()
    remembers = "invocations, results and every ctx.run in its server's log (RocksDB, fsync)"
    noops = 5_000
    worker_first = True
    settings: ClassVar[dict[str, str]] = {
        "drain": "restate-server 1.7.12, one node, defaults; Hypercorn with the production settings and uvloop;"
        " delayed sends, all due at one moment, over 64 connections (there is no batch)",
        "latency": "the same; POST /restate/call over kept connections",
        "agents": "the same; each call a ctx.run_typed",
    }
    recovery: ClassVar[dict[str, str]] = {
        "default": "default-retry-policy: 500 ms, factor 2",
        "best": "invocation_retry_policy: 50 ms, factor 1.5, at most 500 ms",
    }

    _server: subprocess.Popen[bytes] | None = None

    async def open(self) -> None:
        self._worker_port, self._ingress_port, admin_port, node_port = (free_port() for _ in range(4))
        environment = Path(sys.executable).parent.parent
        binary = next(environment.glob("node_modules/@restatedev/restate-server-*/bin/restate-server"))
        variables = {
            "RESTATE_BASE_DIR": str(self.place.folder / "restate"),
            "RESTATE_BIND_IP": "127.0.0.1",
            "RESTATE_LISTEN_MODE": "tcp",
            "RESTATE_BIND_PORT": str(node_port),
            "RESTATE_INGRESS__BIND_PORT": str(self._ingress_port),
            "RESTATE_ADMIN__BIND_PORT": str(admin_port),
            "RESTATE_DISABLE_TELEMETRY": "true",
            "RESTATE_LOG_FILTER": "warn",
        }
        with (self.place.folder / "restate-server.log").open("wb") as log:
            self._server = subprocess.Popen([str(binary)], env=os.environ | variables, stdout=log, stderr=log)
        for port in (admin_port, self._ingress_port):
            await asyncio.to_thread(wait_until_listening, port, self._server)
        self._admin = Pool("127.0.0.1", admin_port)
        self._ingress = Pool("127.0.0.1", self._ingress_port)

    @property
    def groups(self) -> int:
        return 1  # Hypercorn forks its workers

    def worker(self, number: int) -> Command:
        config = self.place.folder / "hypercorn.toml"
        config.write_text(HYPERCORN)
        arguments = [sys.executable, "-m", "hypercorn", "--config", str(config)]
        arguments += ["--bind", f"127.0.0.1:{self._worker_port}", "--workers", str(self.ask.workers)]
        variant = self.ask.variant if self.ask.question == "kill" else "default"
        return Command([*arguments, "benchmarks.peers.restate.app:app"], {"VARIANT": variant})

    async def workers_are_up(self, count: int) -> None:
        assert self._server is not None
        await asyncio.to_thread(wait_until_listening, self._worker_port, self._server)
        deployment = {"uri": f"http://127.0.0.1:{self._worker_port}"}
        for _ in range(50):
            try:
                await self._admin.request("POST", "/deployments", deployment)
            except RuntimeError:  # the node is still joining its own cluster
                await asyncio.sleep(0.2)
            else:
                return
        raise RuntimeError("the deployment could not be registered")

    async def submit(self, agent: str, count: int) -> None:
        due = time.monotonic() + 1.0 + count / SUBMITTED_PER_SECOND
        numbers = iter(range(count))

        async def submitter() -> None:
            for number in numbers:
                body: Any = {"number": number, "calls": self.ask.calls} if agent == "agent" else number
                delay_ms = max(1, round((due - time.monotonic()) * 1000))
                await self._ingress.request("POST", f"/restate/send/work/{agent}?delay={delay_ms}ms", body)

        await asyncio.gather(*(submitter() for _ in range(SUBMITTERS)))

    async def call(self, number: int) -> int:
        return int(await self._ingress.request("POST", "/restate/call/work/noop", number))

    async def unfinished(self) -> int:
        query = "SELECT count(*) AS n FROM sys_invocation_status WHERE status <> 'completed'"
        answer = await self._admin.request("POST", "/query", {"query": query})
        return int(answer["rows"][0]["n"])

    def engine_pids(self) -> list[int]:
        return [self._server.pid] if self._server else []

    async def close(self) -> None:
        if self._server is not None:
            self._server.terminate()
            try:
                self._server.wait(10)
            except subprocess.TimeoutExpired:
                self._server.kill()


ADAPTER = Restate
