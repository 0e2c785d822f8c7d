"""The embedded engines as one thing: take the folder, choose programs and user, start both servers, stop both."""

import contextlib
import os
import threading
from collections.abc import Iterable
from pathlib import Path
from types import TracebackType
from typing import Self

from dayshift.domain.errors import WrongUse
from dayshift.embedded.binaries import find_postgres, find_valkey
from dayshift.embedded.folder import DataFolder, translated
from dayshift.embedded.guarded import Guarded
from dayshift.embedded.identity import RunAs, identities
from dayshift.embedded.placement import Placement, place
from dayshift.embedded.postgres import PostgresServer, check_major, data_major, make_cluster, start_postgres
from dayshift.embedded.valkey import ValkeyServer, start_valkey


class Engines:
    """PostgreSQL and Valkey as private child processes. Made by `start_engines`; a context manager that stops them."""

    def __init__(
        self, folder: DataFolder, placement: Placement, postgres: PostgresServer, valkey: ValkeyServer
    ) -> None:
        self.database_url = postgres.url
        self.valkey_url = valkey.url
        self._folder = folder
        self._placement = placement
        self._processes = [postgres.process, valkey.process]
        self._stopping = threading.Lock()

    @property
    def pids(self) -> list[int]:
        """The process ids of the servers, for those who watch or kill them."""
        return [process.pid for process in self._processes]

    def ended(self) -> list[int]:
        """The exit statuses of servers that are no longer there; empty while all is well."""
        return [status for process in self._processes if (status := process.exit_status()) is not None]

    def stop(self) -> None:
        """Stop both servers in order and give the folder back; safe to repeat, from any thread."""
        with self._stopping:
            if not self._processes:
                return
            self._folder.withdraw()
            _stop_all(self._processes)
            self._processes = []
            self._placement.close()
            self._folder.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.stop()


def start_engines(
    data_dir: Path,
    *,
    postgres_ports: Iterable[int] | None = None,
    valkey_ports: Iterable[int] | None = None,
    run_as: RunAs | None = None,
) -> Engines:
    """Start PostgreSQL and Valkey on a data folder and return when both can be used.

    They end when this process ends, however it ends. Ports are any free ones of 127.0.0.1 unless named. `run_as` forces
    how root starts them (see docs/decisions/0001-embedded-engines-as-root.md). Blocks for up to some seconds: call it in
    a thread from async code. Raises `WrongUse` when the folder, the programs or the user are wrong, and `EngineFailed`
    with the server's last words when one does not come up.
    """
    with contextlib.ExitStack() as undo:
        folder = DataFolder.open(data_dir)
        undo.callback(folder.close)
        log = folder.log("postgres")
        candidates = identities(_owner_of_data(folder), run_as)
        major = data_major(folder)
        postgres = find_postgres(folder.binaries, data_major=major)
        check_major(folder, postgres, major)
        placement = place(candidates, {"postgres": postgres, "valkey": find_valkey()}, log)
        undo.callback(placement.close)
        descriptors = [folder.servers_lock]
        valkey_server = start_valkey(placement, folder.log("valkey"), valkey_ports, descriptors)
        undo.callback(valkey_server.process.stop)
        if major is None:
            make_cluster(folder, placement, log)
        postgres_server = start_postgres(folder, placement, log, postgres_ports, descriptors)
        undo.callback(postgres_server.process.stop)
        folder.announce({"database_url": postgres_server.url, "valkey_url": valkey_server.url})
        undo.pop_all()
    return Engines(folder, placement, postgres_server, valkey_server)


def _owner_of_data(folder: DataFolder) -> int | None:
    with translated(folder.postgres):
        if not folder.postgres.exists():
            return None
        owner = folder.postgres.stat().st_uid
    if os.geteuid() not in (0, owner):
        raise WrongUse(
            f"The data in {folder.postgres} belongs to uid {owner}. Start dayshift as that user, give the folder to yours "
            "(chown -R), or name another folder with DAYSHIFT_DATA.",
            code="data_of_other_user",
        )
    return owner


def _stop_all(processes: list[Guarded]) -> None:
    """Ask all first, so that the slowest alone sets the time."""
    for process in processes:
        process.ask_to_stop()
    for process in processes:
        process.stop()
