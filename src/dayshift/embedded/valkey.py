"""Starts Valkey as a private server: one port of 127.0.0.1, a password made for this start, and no memory beyond it."""

import secrets
import signal
import socket
from collections.abc import Iterable
from pathlib import Path

from msgspec import Struct

from dayshift.embedded.guarded import Guarded, Launch, spawn_guarded
from dayshift.embedded.placement import Placement
from dayshift.embedded.readiness import LOOPBACK, PortTaken, free_port, wait_until_ready

_SECONDS_TO_START = 20.0
_ATTEMPTS_AT_A_PORT = 5

# A call with thousands of arguments allocates and frees them one by one. The C library keeps seven free blocks of a size
# at hand and merges the rest each time that a large one is freed: a quarter of the server's CPU time. With a longer
# list, and without the blocks that merging is for, the plane's scripts cost a third less (65-83 -> 41-51 microseconds a
# task). A library that does not know a tunable ignores it.
_ENVIRONMENT = {
    "LC_ALL": "C",
    "PATH": "/usr/bin:/bin",
    "GLIBC_TUNABLES": "glibc.malloc.tcache_count=2000:glibc.malloc.mxfast=0",
}

# The hot plane may forget, so nothing is written to disk; it must not forget *some* keys, so nothing is evicted.
# A stream's node is allocated whole at its first event; most tasks have three events, for which 4 kB is three times too much.
_CONFIG = """
bind {host}
port {port}
requirepass {password}
protected-mode yes
daemonize no
save ""
appendonly no
maxmemory-policy noeviction
stream-node-max-bytes 1024
databases 16
tcp-backlog 511
maxclients 2000
timeout 0
tcp-keepalive 60
"""


class ValkeyServer(Struct, frozen=True):
    """A Valkey that answers."""

    process: Guarded
    url: str


def start_valkey(placement: Placement, log: Path, ports: Iterable[int] | None, descriptors: list[int]) -> ValkeyServer:
    """Start Valkey and return when it answers."""
    for attempt in range(1, _ATTEMPTS_AT_A_PORT + 1):
        try:
            return _start(placement, log, free_port(ports), descriptors)
        except PortTaken:
            if attempt == _ATTEMPTS_AT_A_PORT:
                raise
    raise AssertionError("unreachable")


def _start(placement: Placement, log: Path, port: int, descriptors: list[int]) -> ValkeyServer:
    password = secrets.token_urlsafe(32)
    process = spawn_guarded(
        Launch(
            argv=[placement.programs["valkey"].path, "-"],
            stdin=_CONFIG.format(host=LOOPBACK, port=port, password=password),
            log=log,
            identity=placement.identity,
            environment=_ENVIRONMENT,
            descriptors=[*descriptors, *placement.descriptors],
            stages=((signal.SIGTERM, 5.0),),
            death_signal=signal.SIGKILL,
        )
    )
    try:
        wait_until_ready(process, "Valkey", port=port, answers=_answers, log=log, seconds=_SECONDS_TO_START)
    except BaseException:
        process.stop()
        raise
    return ValkeyServer(process, f"redis://:{password}@{LOOPBACK}:{port}")


def _answers(connection: socket.socket) -> bool:
    """Whether it speaks the protocol: it asks for the password, which is not sent to find out."""
    connection.sendall(b"PING\r\n")
    return connection.recv(64).startswith((b"+PONG", b"-NOAUTH"))
