"""The guard: a tiny process between us and one server, so that no server outlives us.

The server must end when its parent ends, however the parent ends. A death signal alone (PR_SET_PDEATHSIG) cannot keep
that promise: Linux fires it when the creating *thread* ends, drops it when the server's uid changes, and other systems
have none. So each server is the child of a guard, and the guard ends it when any of these happens:

1. The *lifeline*, a pipe on its standard input, reads end of file: the parent closed it (an orderly stop) or is gone.
2. The parent's pidfd becomes readable (Linux): the parent is gone even if some fork of it still holds the lifeline.
3. The guard itself gets SIGTERM or SIGINT.

If the guard is killed, the server gets a death signal: here it is sound, as the guard has one thread and asks for it
after the change of uid. Guard and server live in a session of their own, so Ctrl-C in a terminal reaches only the
parent, which then stops in its own order.

    parent                     guard                            server
      | one line of JSON  --->   | start (uid, namespace)   --->  |
      | <---  one line of JSON   | {"pid": 7} or {"failed": ".."} |
      |                          |                                |
      | close, or death   --->   | stages: signal, wait,    --->  |
      |                          |         next signal, wait ...  |
      | <---  exit status        | <---  exit status

This file is run as a script with the standard library alone (`python -I -S guard.py`): it is up in a few hundredths of
a second, and no import hook, site package or environment variable can break it.
"""

import contextlib
import ctypes
import json
import os
import select
import shutil
import signal
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from time import monotonic
from typing import Any

PR_SET_PDEATHSIG = 1
CLONE_NEWUSER = 0x10000000
LIFELINE = 0


def main() -> int:
    """Start the server that the parent describes, end it with the parent, and pass on its exit status."""
    signal.pthread_sigmask(signal.SIG_SETMASK, [])
    wakeups = _wake_on_signals()
    order = json.loads(_read_line(LIFELINE))
    try:
        server = _start(order)
    except (OSError, subprocess.SubprocessError) as error:
        _answer({"failed": _reason(error)})
        return 127
    _answer({"pid": server.pid})
    _wait_for_end_of_server_or_parent(server, wakeups, order["parent"])
    status = _stop_in_stages(server, order["stages"], wakeups)
    for folder in order["remove"]:
        shutil.rmtree(folder, ignore_errors=True)
    return status if status >= 0 else 128 - status


def _start(order: dict[str, Any]) -> subprocess.Popen[bytes]:
    """Start the server as the order says; its output goes where the guard's own errors go."""
    changed_user = {} if order["uid"] is None else {"user": order["uid"], "group": order["gid"], "extra_groups": []}
    reader, writer = os.pipe()
    if order["uid"] is not None:
        os.fchown(reader, order["uid"], order["gid"])  # so that the server can open it once more, as /dev/stdin
    server = subprocess.Popen(
        order["argv"],
        cwd=order["cwd"],
        env=order["environment"],
        stdin=reader,
        stdout=2,
        pass_fds=order["descriptors"],
        preexec_fn=_preparation(order),  # noqa: PLW1509 - the guard has one thread
        **changed_user,
    )
    os.close(reader)
    with contextlib.suppress(BrokenPipeError), os.fdopen(writer, "w") as stdin:  # the server may end without reading
        stdin.write(order["stdin"])
    return server


def _preparation(order: dict[str, Any]) -> Callable[[], None] | None:
    """What the new process does to itself between fork and exec (after the change of uid, which drops death signals)."""
    if not sys.platform.startswith("linux"):
        return None
    libc = ctypes.CDLL(None, use_errno=True)
    guard_pid = os.getpid()

    def prepare() -> None:
        if order["uid_in_namespace"] is not None:
            _enter_user_namespace(libc, order["uid_in_namespace"])
        libc.prctl(PR_SET_PDEATHSIG, int(order["death_signal"]), 0, 0, 0)
        if os.getppid() != guard_pid:
            os._exit(127)  # the guard ended before the death signal was set

    return prepare


def _enter_user_namespace(libc: ctypes.CDLL, uid_inside: int) -> None:
    """Become an ordinary user to the programs we start, while files still see the uid we have outside."""
    uid, gid = os.geteuid(), os.getegid()
    if libc.unshare(CLONE_NEWUSER) != 0:
        raise OSError(ctypes.get_errno(), "unshare(CLONE_NEWUSER)")
    Path("/proc/self/setgroups").write_text("deny")
    Path("/proc/self/uid_map").write_text(f"{uid_inside} {uid} 1")
    Path("/proc/self/gid_map").write_text(f"{uid_inside} {gid} 1")


def _wait_for_end_of_server_or_parent(server: subprocess.Popen[bytes], wakeups: int, parent: int) -> None:
    poll = select.poll()
    poll.register(LIFELINE, select.POLLIN)
    poll.register(wakeups, select.POLLIN)
    parent_pidfd = _pidfd(parent)
    if parent_pidfd is not None:
        poll.register(parent_pidfd, select.POLLIN)
    if os.getppid() != parent:
        return
    while server.poll() is None:
        for descriptor, _ in poll.poll():
            if descriptor == wakeups:
                if set(os.read(wakeups, 64)) - {signal.SIGCHLD}:
                    return
            elif descriptor == parent_pidfd or not os.read(LIFELINE, 64):
                return


def _pidfd(pid: int) -> int | None:
    """A descriptor that becomes readable when that process ends, where the system has them."""
    opener = getattr(os, "pidfd_open", None)
    if opener is None:
        return None
    try:
        return int(opener(pid))
    except OSError:
        return None  # an older kernel, a strict container, or gone already: the lifeline and getppid() tell


def _stop_in_stages(server: subprocess.Popen[bytes], stages: list[tuple[int, float]], wakeups: int) -> int:
    """Send each stage's signal and wait its seconds; the last resort is SIGKILL. Returns the server's exit status."""
    for number, seconds in stages:
        if server.poll() is not None:
            break
        server.send_signal(number)
        _wait_for_end(server, seconds, wakeups)
    if server.poll() is None:
        server.kill()
    return server.wait()


def _wait_for_end(server: subprocess.Popen[bytes], seconds: float, wakeups: int) -> None:
    deadline = monotonic() + seconds
    while server.poll() is None and (left := deadline - monotonic()) > 0:
        if select.select([wakeups], [], [], left)[0]:
            os.read(wakeups, 64)


def _wake_on_signals() -> int:
    """A descriptor on which each signal that concerns the guard appears as one byte."""
    reader, writer = os.pipe()
    os.set_blocking(writer, False)
    signal.set_wakeup_fd(writer, warn_on_full_buffer=False)
    for number in (signal.SIGCHLD, signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: None)
    signal.signal(signal.SIGHUP, signal.SIG_IGN)
    return reader


def _read_line(descriptor: int) -> bytes:
    """Read to the end of the line and not beyond, so that what follows stays in the pipe."""
    line = bytearray()
    while (byte := os.read(descriptor, 1)) not in (b"", b"\n"):
        line += byte
    return bytes(line)


def _answer(message: dict[str, Any]) -> None:
    with contextlib.suppress(BrokenPipeError):  # the parent is gone: the lifeline will say so
        os.write(1, json.dumps(message).encode() + b"\n")
    os.close(1)


def _reason(error: Exception) -> str:
    # subprocess says only that the preparation failed; the namespace is the one step of it that can.
    if isinstance(error, subprocess.SubprocessError):
        return "this system allows no user namespace"
    return str(error)


if __name__ == "__main__":
    sys.exit(main())
