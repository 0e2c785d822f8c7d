"""A PostgreSQL that can be killed, frozen, restarted and run out of disk, always on the same port and the same data."""

import asyncio
import contextlib
import os
import signal
import subprocess
from pathlib import Path

from dayshift.embedded.binaries import find_postgres, find_valkey
from dayshift.embedded.folder import DataFolder
from dayshift.embedded.identity import identities
from dayshift.embedded.placement import place
from dayshift.embedded.postgres import PostgresServer, make_cluster, start_postgres
from tests.faults import processes
from tests.faults.ports import steady_port

DISK_MB = 512
LAST_FREE_BYTES = 64 * 1024


class DiskCannotBeFilled(Exception):
    """This machine lets nobody mount a small disk here: the fault is not available."""


class Postgres:
    """`small_disk` puts the data on a file system of its own, so that `fill_disk` fills nobody else's."""

    def __init__(self, folder: Path, *, small_disk: bool = False) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        self._disk = folder if small_disk else None
        if small_disk:
            _mount(folder)
        self._folder = DataFolder.open(folder / "data")
        self._log = self._folder.log("postgres")
        programs = {"postgres": find_postgres(self._folder.binaries, data_major=None), "valkey": find_valkey()}
        self._placement = place(identities(None, None), programs, self._log)
        self._port = steady_port()
        self._server: PostgresServer | None = None
        self._frozen: list[int] = []

    @property
    def url(self) -> str:
        """The same over every restart."""
        assert self._server is not None, "not started"
        return self._server.url

    @property
    def pid(self) -> int:
        assert self._server is not None, "not started"
        return self._server.process.pid

    async def start(self) -> None:
        """Make the cluster if there is none, and start; returns when it accepts connections."""
        await asyncio.to_thread(self._start)

    async def kill(self) -> None:
        """SIGKILL of the postmaster and its children: no checkpoint, no goodbye; what was committed is in the WAL."""
        await asyncio.to_thread(processes.kill_family, self.pid)
        await asyncio.to_thread(self._end)

    async def restart_immediate(self) -> None:
        """As `pg_ctl restart -m immediate`: every session is cut, and the start recovers from the WAL."""
        os.kill(self.pid, signal.SIGQUIT)
        await asyncio.to_thread(self._end)
        await self.start()

    def freeze(self) -> None:
        """Every session hangs: connections stay open, and nobody answers."""
        self._frozen = processes.freeze_family(self.pid)

    def thaw(self) -> None:
        processes.thaw_all(self._frozen)
        self._frozen = []

    def fill_disk(self) -> None:
        """Leave no room on its disk. Raises `DiskCannotBeFilled` where it has none of its own."""
        if self._disk is None:
            raise DiskCannotBeFilled("start it with small_disk=True, as somebody who may mount")
        with self._ballast.open("ab", buffering=0) as ballast, contextlib.suppress(OSError):
            for size in (1024 * 1024, LAST_FREE_BYTES, 4096):
                with contextlib.suppress(OSError):
                    while True:
                        ballast.write(bytes(size))

    def free_disk(self) -> None:
        if self._disk is not None:
            self._ballast.unlink(missing_ok=True)

    async def close(self) -> None:
        """Stop, and give everything back; safe to repeat, and after any fault."""
        self.thaw()
        self.free_disk()
        await asyncio.to_thread(self._end)
        self._placement.close()
        self._folder.close()
        if self._disk is not None:
            await asyncio.to_thread(subprocess.run, ["umount", self._disk], check=True)
            self._disk = None

    @property
    def _ballast(self) -> Path:
        assert self._disk is not None
        return self._disk / "ballast"

    def _start(self) -> None:
        if not self._folder.postgres.exists():
            make_cluster(self._folder, self._placement, self._log)
        descriptors = [self._folder.servers_lock]
        self._server = start_postgres(self._folder, self._placement, self._log, [self._port], descriptors)

    def _end(self) -> None:
        if self._server is not None:
            self._server.process.stop()


def _mount(folder: Path) -> None:
    options = f"size={DISK_MB}m,mode=755"
    mounted = subprocess.run(
        ["mount", "-t", "tmpfs", "-o", options, "dayshift-faults", folder], capture_output=True, text=True, check=False
    )
    if mounted.returncode != 0:
        raise DiskCannotBeFilled(f"no small disk can be mounted here: {mounted.stderr.strip()}")
