"""Starts PostgreSQL as a private server on the data folder: one port of 127.0.0.1, one user with a password, fsync on."""

import contextlib
import os
import shutil
import signal
import socket
import struct
from collections.abc import Iterable
from pathlib import Path

from msgspec import Struct

from dayshift.domain.errors import WrongUse
from dayshift.embedded.binaries import Program
from dayshift.embedded.folder import DataFolder, translated
from dayshift.embedded.guarded import Guarded, Launch, spawn_guarded
from dayshift.embedded.placement import Placement
from dayshift.embedded.readiness import LOOPBACK, EngineFailed, PortTaken, free_port, last_lines, wait_until_ready

USER = "dayshift"
DATABASE = "postgres"
_SECONDS_TO_INIT = 120.0
_SECONDS_TO_START = 300.0  # far longer than a start: after a crash it first replays up to max_wal_size of changes
_ATTEMPTS_AT_A_PORT = 5
_PROTOCOL_3 = 196608
_ENVIRONMENT = {"LC_ALL": "C", "TZ": "UTC", "PATH": "/usr/bin:/bin"}

# Written once, into the new cluster; its owner may change it there. What must hold at each start is in `_arguments`.
_SETTINGS = """
# --- set by dayshift when it made this cluster; yours to change ---
max_connections = 200
shared_buffers = 128MB
synchronous_commit = on
wal_buffers = 16MB
min_wal_size = 128MB
max_wal_size = 1GB
checkpoint_timeout = 15min
random_page_cost = 1.1
effective_io_concurrency = 16
jit = off
timezone = 'UTC'
log_timezone = 'UTC'
log_line_prefix = '%m [%p] '
log_checkpoints = off
log_min_error_statement = panic
"""


class PostgresServer(Struct, frozen=True):
    """A PostgreSQL that accepts connections."""

    process: Guarded
    url: str


def data_major(folder: DataFolder) -> int | None:
    """The major version that wrote the data in this folder; None where there is none yet."""
    with translated(folder.postgres):
        if not folder.postgres.exists():
            return None
        try:
            return int((folder.postgres / "PG_VERSION").read_text().split(".")[0])
        except (FileNotFoundError, ValueError):
            raise WrongUse(
                f"{folder.postgres} exists but holds no PostgreSQL data (no PG_VERSION). Nothing was touched: move it away, "
                "or name another folder with DAYSHIFT_DATA.",
                code="data_unknown",
            ) from None


def check_major(folder: DataFolder, program: Program, major: int | None) -> None:
    """Refuse data of another major version, before anything is touched."""
    if major is None or major == program.major:
        return
    data = folder.postgres
    raise WrongUse(
        f"The data in {data} was written by PostgreSQL {major}; the one found here is {program.major} ({program.path}), which "
        "cannot read it. Nothing was touched. To keep the old version, put its programs on PATH. To move the data: "
        f"1. with PostgreSQL {major}: `pg_ctl -D '{data}' -o '-p 54321' start`, `pg_dumpall -h {LOOPBACK} -p 54321 -U {USER} > "
        f"dump.sql` (the password is in {folder.password_file}), `pg_ctl -D '{data}' stop`; "
        f"2. move {data} away; 3. start dayshift once, which makes an empty one; 4. `psql URL -f dump.sql` with the "
        f"database_url in {folder.root / 'engines.json'}.",
        code="data_of_other_version",
    )


def make_cluster(folder: DataFolder, placement: Placement, log: Path) -> None:
    """Make the cluster beside its place and move it there when it is complete; a broken start leaves nothing half made."""
    for left_over in folder.root.glob("postgres.new-*"):
        shutil.rmtree(left_over, ignore_errors=True)
    with translated(folder.root):
        new = folder.root / f"postgres.new-{os.getpid()}"
        new.mkdir(mode=0o700)
        placement.own(new)
    try:
        with translated(new):
            _init(new, folder.make_password(), placement, log)
            with (new / "postgresql.conf").open("a") as config:
                config.write(_SETTINGS)
            _allow_password_only(new / "pg_hba.conf")
            new.rename(folder.postgres)
            _sync(folder.root)
    finally:
        shutil.rmtree(new, ignore_errors=True)


def start_postgres(
    folder: DataFolder, placement: Placement, log: Path, ports: Iterable[int] | None, descriptors: list[int]
) -> PostgresServer:
    """Start PostgreSQL on the folder's cluster and return when it accepts connections."""
    password = folder.password()
    _remove_stale_pid_file(folder.postgres)
    for attempt in range(1, _ATTEMPTS_AT_A_PORT + 1):
        try:
            port = free_port(ports)
            process = _start(folder.postgres, placement, log, port, descriptors)
        except PortTaken:
            if attempt == _ATTEMPTS_AT_A_PORT:
                raise
        else:
            return PostgresServer(process, f"postgresql://{USER}:{password}@{LOOPBACK}:{port}/{DATABASE}")
    raise AssertionError("unreachable")


def _init(new: Path, password: str, placement: Placement, log: Path) -> None:
    data = placement.reach(new, log)
    process = spawn_guarded(
        Launch(
            argv=[
                placement.programs["postgres"].beside("initdb"),
                f"--pgdata={data}",
                f"--username={USER}",
                "--pwfile=/dev/stdin",
                "--auth=scram-sha-256",
                "--encoding=UTF8",
                "--locale=C",
                "--no-instructions",
            ],
            stdin=f"{password}\n",
            log=log,
            identity=placement.identity,
            environment=_ENVIRONMENT,
            descriptors=placement.descriptors,
            stages=((signal.SIGTERM, 2.0),),
            death_signal=signal.SIGKILL,
        )
    )
    status = process.wait(_SECONDS_TO_INIT)
    process.stop()
    if status != 0:
        raise EngineFailed(
            f"initdb could not make a cluster (status {status}). The last lines of {log}:\n{last_lines(log)}"
        )


def _start(cluster: Path, placement: Placement, log: Path, port: int, descriptors: list[int]) -> Guarded:
    data = placement.reach(cluster, log)
    process = spawn_guarded(
        Launch(
            argv=[placement.programs["postgres"].path, *_arguments(data, port)],
            log=log,
            identity=placement.identity,
            environment=_ENVIRONMENT,
            descriptors=[*descriptors, *placement.descriptors],
            # Fast shutdown ends connections and writes a checkpoint; immediate shutdown leaves that to the next start.
            stages=((signal.SIGINT, 15.0), (signal.SIGQUIT, 7.0)),
            death_signal=signal.SIGQUIT,
            remove=[placement.copy] if placement.copy else [],
        )
    )
    try:
        wait_until_ready(process, "PostgreSQL", port=port, answers=_answers, log=log, seconds=_SECONDS_TO_START)
    except BaseException:
        process.stop()
        raise
    return process


def _arguments(data: Path, port: int) -> list[str]:
    settings = {
        "listen_addresses": LOOPBACK,
        "port": str(port),
        "unix_socket_directories": "",  # a socket's path is limited to about 100 bytes, a data folder's is not
        "fsync": "on",
        "logging_collector": "off",
        "log_destination": "stderr",
    }
    arguments = ["-D", str(data)]
    for name, value in settings.items():
        arguments += ["-c", f"{name}={value}"]
    return arguments


def _allow_password_only(pg_hba: Path) -> None:
    """Every connection needs the password, from this machine only."""
    pg_hba.write_text(f"host all all {LOOPBACK}/32 scram-sha-256\n")


def _remove_stale_pid_file(data: Path) -> None:
    """Remove the pid file of a server that was killed: its pid may be somebody else's by now, and would block the start.

    The lock of the data folder says that none of our servers runs; a server started by hand is seen by where it works.
    """
    pid_file = data / "postmaster.pid"
    with translated(pid_file):
        try:
            pid = int(pid_file.read_text().split("\n", 1)[0])
        except FileNotFoundError:
            return
        except ValueError:
            pid = 0  # cut short by a full disk
        if not Path("/proc/self").exists():
            return  # without /proc, PostgreSQL's own look at the pid has to do
        with contextlib.suppress(FileNotFoundError, ProcessLookupError, PermissionError):
            if pid and Path(f"/proc/{pid}/cwd").samefile(data):
                raise WrongUse(
                    f"A PostgreSQL that dayshift did not start works on {data} (process {pid}). Stop it first.",
                    code="data_folder_in_use",
                )
        pid_file.unlink()


def _answers(connection: socket.socket) -> bool:
    """Whether it would let us log in: it asks for authentication ('R') instead of saying that it is starting up ('E')."""
    body = struct.pack("!i", _PROTOCOL_3) + f"user\0{USER}\0database\0{DATABASE}\0\0".encode()
    connection.sendall(struct.pack("!i", len(body) + 4) + body)
    return connection.recv(1024).startswith(b"R")


def _sync(folder: Path) -> None:
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
