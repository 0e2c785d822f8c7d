"""Free ports, and waiting for a server to answer on one."""

import socket
from collections.abc import Callable, Iterable
from pathlib import Path

from dayshift.domain import clock
from dayshift.domain.errors import DayshiftError
from dayshift.embedded.guarded import Guarded

LOOPBACK = "127.0.0.1"
_SECONDS_BETWEEN_LOOKS = 0.01
_SECONDS_FOR_AN_ANSWER = 2.0
_LAST_LINES = 12

Answers = Callable[[socket.socket], bool]


class EngineFailed(DayshiftError):
    """A server did not start, or not in time; the message ends with its last log lines."""

    code = "engine_failed"


class PortTaken(EngineFailed):
    """Somebody else listens on the port that the server was given."""

    code = "port_taken"


def free_port(among: Iterable[int] | None = None) -> int:
    """A port of 127.0.0.1 that nobody listens on now: any, or the first of `among`."""
    for port in among if among is not None else (0,):
        with socket.socket() as probe:
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            try:
                probe.bind((LOOPBACK, port))
            except OSError:
                continue
            return int(probe.getsockname()[1])
    raise PortTaken(f"Every port of {LOOPBACK} that was allowed is taken; free one of them, or allow others.")


def wait_until_ready(server: Guarded, name: str, *, port: int, answers: Answers, log: Path, seconds: float) -> None:
    """Return when the server answers as it should. Raises `EngineFailed` when it ends first, or takes too long."""
    start_of_log = log.stat().st_size
    deadline = clock.monotonic_seconds() + seconds
    while clock.monotonic_seconds() < deadline:
        status = server.wait(_SECONDS_BETWEEN_LOOKS)
        if status is not None:
            raise _failure(f"{name} ended with status {status} before it was ready", log, start_of_log)
        if _answered(port, answers):
            return
    raise _failure(f"{name} was not ready within {seconds:.0f} s", log, start_of_log)


def last_lines(log: Path) -> str:
    """The end of a log file, for an error."""
    try:
        lines = log.read_text(errors="replace").splitlines()[-_LAST_LINES:]
    except OSError as error:
        return f"({error})"
    return "\n".join(f"    {line}" for line in lines)


def _answered(port: int, answers: Answers) -> bool:
    try:
        with socket.create_connection((LOOPBACK, port), _SECONDS_FOR_AN_ANSWER) as connection:
            return answers(connection)
    except OSError:
        return False


def _failure(what: str, log: Path, start: int) -> EngineFailed:
    said = log.read_bytes()[start:].decode(errors="replace")
    kind = PortTaken if "Address already in use" in said else EngineFailed
    return kind(f"{what}. The last lines of {log}:\n{last_lines(log)}")
