"""Our end of a guarded server: `spawn_guarded` starts it behind a guard (see `guard.py`), `Guarded` watches and stops it."""

import contextlib
import json
import os
import signal
import subprocess
import sys
import weakref
from collections.abc import Mapping, Sequence
from pathlib import Path

from msgspec import Struct

from dayshift.domain.errors import DayshiftError
from dayshift.embedded.identity import OWN, Identity

_GUARD = Path(__file__).with_name("guard.py")
_SECONDS_BEYOND_STAGES = 5.0

Stages = Sequence[tuple[signal.Signals, float]]


class GuardFailed(DayshiftError):
    """The program could not even be started: no such file, no permission, no user namespace."""

    code = "guard_failed"


class Launch(Struct, frozen=True, kw_only=True):
    """What to run behind a guard, and how to end it."""

    argv: Sequence[str | Path]
    log: Path  # what the program prints, and the guard's own failures
    stages: Stages = ((signal.SIGTERM, 5.0),)  # each signal and how long it may take; then SIGKILL
    death_signal: signal.Signals = signal.SIGTERM  # sent by the kernel if the guard itself is killed
    identity: Identity = OWN
    environment: Mapping[str, str] | None = None  # None: ours
    stdin: str = ""  # for what must not be seen in the list of processes
    descriptors: Sequence[int] = ()  # kept open in guard and program until both have ended (locks, folders)
    cwd: Path = Path("/")
    remove: Sequence[Path] = ()  # folders that the guard removes after the program has ended


class Guarded:
    """A running program behind its guard. Made by `spawn_guarded`."""

    def __init__(self, process: subprocess.Popen[bytes], pid: int, stages: Stages) -> None:
        self.pid = pid
        self._process = process
        self._seconds_to_stop = sum(seconds for _, seconds in stages) + _SECONDS_BEYOND_STAGES
        _running.add(self)

    @property
    def guard_pid(self) -> int:
        return self._process.pid

    def exit_status(self) -> int | None:
        """The program's exit status (128 + n: ended by signal n), or None while it runs."""
        status = self._process.poll()
        if status is not None:
            self._let_go()
        return status

    def wait(self, timeout_seconds: float) -> int | None:
        """Wait for the program to end by itself; None when it still runs after that time."""
        try:
            status = self._process.wait(timeout_seconds)
        except subprocess.TimeoutExpired:
            return None
        self._let_go()
        return status

    def ask_to_stop(self) -> None:
        """Begin the orderly stop and return at once; safe to repeat."""
        self._let_go()

    def stop(self) -> int:
        """Stop in the launch's stages and wait for the end; safe to repeat. Returns the exit status."""
        self.ask_to_stop()
        try:
            return self._process.wait(self._seconds_to_stop)
        except subprocess.TimeoutExpired:
            self._process.kill()  # then the death signal ends the program
            return self._process.wait()

    def forget_in_fork(self) -> None:
        """Let go of the lifeline in a fork of our process, which must not keep the program alive."""
        self._let_go()

    def _let_go(self) -> None:
        assert self._process.stdin is not None
        with contextlib.suppress(BrokenPipeError):
            self._process.stdin.close()


_running: "weakref.WeakSet[Guarded]" = weakref.WeakSet()


def spawn_guarded(launch: Launch) -> Guarded:
    """Start a program that ends with us, even if we are killed. May be called from any thread.

    Raises `GuardFailed` when the program cannot be started; whether it then does its work is for the caller to find out.
    """
    with launch.log.open("ab") as log:
        guard = subprocess.Popen(
            [sys.executable, "-I", "-S", str(_GUARD)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=log,
            cwd="/",
            pass_fds=tuple(launch.descriptors),
            start_new_session=True,
        )
    assert guard.stdin is not None
    assert guard.stdout is not None
    answer = {}
    with contextlib.suppress(BrokenPipeError), guard.stdout as answers:
        guard.stdin.write(json.dumps(_order(launch)).encode() + b"\n")
        guard.stdin.flush()
        answer = json.loads(answers.readline() or b"{}")
        if "pid" in answer:
            return Guarded(guard, answer["pid"], launch.stages)
    with contextlib.suppress(BrokenPipeError):
        guard.stdin.close()
    status = guard.wait()
    reason = answer.get("failed", f"its guard ended with status {status}; see {launch.log}")
    raise GuardFailed(f"Cannot start {launch.argv[0]}: {reason}")


def _order(launch: Launch) -> dict[str, object]:
    return {
        "argv": [str(part) for part in launch.argv],
        "cwd": str(launch.cwd),
        "environment": None if launch.environment is None else dict(launch.environment),
        "stdin": launch.stdin,
        "descriptors": list(launch.descriptors),
        "stages": [(int(number), seconds) for number, seconds in launch.stages],
        "death_signal": int(launch.death_signal),
        "uid_in_namespace": launch.identity.uid_in_namespace,
        "uid": launch.identity.uid,
        "gid": launch.identity.gid,
        "parent": os.getpid(),
        "remove": [str(folder) for folder in launch.remove],
    }


def _forget_all_in_fork() -> None:
    for guarded in list(_running):
        guarded.forget_in_fork()


os.register_at_fork(after_in_child=_forget_all_in_fork)
