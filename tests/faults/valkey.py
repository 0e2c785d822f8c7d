"""A Valkey that can be killed, frozen, emptied and set back to an older state, always at the same address."""

import asyncio
import secrets
import shutil
import signal
import socket
from pathlib import Path

import redis.asyncio

from dayshift.embedded.binaries import find_valkey
from dayshift.embedded.guarded import Guarded, Launch, spawn_guarded
from dayshift.embedded.readiness import LOOPBACK, wait_until_ready
from tests.faults import processes
from tests.faults.ports import steady_port

# What the embedded engine is told, and a folder for snapshots. Nothing is saved unless a test asks.
_CONFIG = """
bind {host}
port {port}
requirepass {password}
dir "{folder}"
dbfilename {file}
save ""
appendonly no
maxmemory-policy noeviction
stream-node-max-bytes 1024
maxclients 2000
"""
_SECONDS_TO_START = 20.0
_FILE = "plane.rdb"


class Valkey:
    def __init__(self, folder: Path) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        self._folder = folder
        self._log = folder / "valkey.log"
        self._log.touch()
        self._port = steady_port()
        self._password = secrets.token_urlsafe(16)
        self.url = f"redis://:{self._password}@{LOOPBACK}:{self._port}"
        self._process: Guarded | None = None

    @property
    def pid(self) -> int:
        assert self._process is not None, "not started"
        return self._process.pid

    async def start(self) -> None:
        """Start with whatever snapshot lies in its folder; returns when it answers."""
        await asyncio.to_thread(self._start)

    async def kill(self) -> None:
        """SIGKILL: everything in memory is gone."""
        processes.kill(self.pid)
        await asyncio.to_thread(self._end)

    async def restart_empty(self) -> None:
        """Kill it, and start one that knows nothing."""
        await self.kill()
        (self._folder / _FILE).unlink(missing_ok=True)
        await self.start()

    async def save_snapshot(self) -> Path:
        """Keep its present state aside, for `restart_with`."""
        async with redis.asyncio.from_url(self.url) as client:
            await client.save()
        kept = self._folder / f"kept-{secrets.token_hex(4)}.rdb"
        (self._folder / _FILE).replace(kept)
        return kept

    async def restart_with(self, snapshot: Path) -> None:
        """Kill it, and start one that knows an older state: what the promotion of a lagging replica looks like."""
        await self.kill()
        shutil.copyfile(snapshot, self._folder / _FILE)
        await self.start()
        (self._folder / _FILE).unlink()

    async def flushall(self) -> None:
        async with redis.asyncio.from_url(self.url) as client:
            await client.flushall()

    def freeze(self) -> None:
        """Connections stay open, and nobody answers."""
        processes.freeze(self.pid)

    def thaw(self) -> None:
        processes.thaw(self.pid)

    async def close(self) -> None:
        """Stop it; safe to repeat, and after any fault."""
        if self._process is not None:
            self.thaw()
            await asyncio.to_thread(self._end)

    def _start(self) -> None:
        config = _CONFIG.format(
            host=LOOPBACK, port=self._port, password=self._password, folder=self._folder, file=_FILE
        )
        self._process = spawn_guarded(
            Launch(
                argv=[find_valkey().path, "-"],
                stdin=config,
                log=self._log,
                environment={"LC_ALL": "C", "PATH": "/usr/bin:/bin"},
                stages=((signal.SIGTERM, 5.0),),
                death_signal=signal.SIGKILL,
            )
        )
        wait_until_ready(
            self._process, "Valkey", port=self._port, answers=_answers, log=self._log, seconds=_SECONDS_TO_START
        )

    def _end(self) -> None:
        if self._process is not None:
            self._process.stop()


def _answers(connection: socket.socket) -> bool:
    """Whether it serves: it asks for the password only once the snapshot is loaded or the command is a PING."""
    connection.sendall(b"PING\r\n")
    return connection.recv(64).startswith((b"+PONG", b"-NOAUTH"))
