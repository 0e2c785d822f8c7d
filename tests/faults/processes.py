"""Kill, freeze and thaw processes that a test started itself."""

import contextlib
import os
import signal
import time

import psutil

SECONDS_TO_DIE = 10.0


def family(pid: int) -> list[psutil.Process]:
    """A process and all that descend from it now; empty when it is gone."""
    try:
        parent = psutil.Process(pid)
        return [parent, *parent.children(recursive=True)]
    except psutil.NoSuchProcess:
        return []


def kill(pid: int) -> None:
    """SIGKILL one process: it can do nothing more, not even say so."""
    with contextlib.suppress(ProcessLookupError):
        os.kill(pid, signal.SIGKILL)


def kill_family(pid: int) -> None:
    """SIGKILL a process and its descendants, and wait until all are gone."""
    members = family(pid)
    for member in members:
        with contextlib.suppress(psutil.NoSuchProcess):
            member.kill()
    _wait_until_gone(members)


def freeze(pid: int) -> None:
    """SIGSTOP: the process keeps its memory, its sockets and its beliefs, and does nothing."""
    os.kill(pid, signal.SIGSTOP)


def thaw(pid: int) -> None:
    """SIGCONT: it goes on where it was, unaware of the time that went by. One that is gone stays gone."""
    with contextlib.suppress(ProcessLookupError):
        os.kill(pid, signal.SIGCONT)


def freeze_family(pid: int) -> list[int]:
    """SIGSTOP a process first, so that it makes no more children, and then those it has; returns their pids."""
    freeze(pid)
    pids = [member.pid for member in family(pid)]
    for member in pids[1:]:
        with contextlib.suppress(ProcessLookupError):
            freeze(member)
    return pids


def thaw_all(pids: list[int]) -> None:
    for pid in reversed(pids):
        thaw(pid)


def is_alive(pid: int) -> bool:
    """Whether it runs; one that has ended and was not waited for does not."""
    try:
        return _runs(psutil.Process(pid))
    except psutil.NoSuchProcess:
        return False


def _wait_until_gone(members: list[psutil.Process]) -> None:
    deadline = time.monotonic() + SECONDS_TO_DIE
    while any(_runs(member) for member in members):
        if time.monotonic() > deadline:
            raise TimeoutError(f"still there {SECONDS_TO_DIE} s after SIGKILL: {members}")
        time.sleep(0.01)


def _runs(member: psutil.Process) -> bool:
    try:
        return member.is_running() and member.status() != psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return False
