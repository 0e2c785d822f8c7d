"""Makes programs and data reachable for a server that runs as somebody else.

A server with a foreign identity may be shut out where we are not: a project and its environment often lie below a
folder that only root (or only one user) can enter. No permission of such a folder is changed. Instead:

- *Programs* that it cannot reach are copied to a private temporary folder that only it (and we) can enter. The copy
  lives as long as the servers; a lock on it tells cleaners of temporary folders that it is in use.
- *Data* stays where the user said. The server gets an open descriptor of its own folder and names it
  `/proc/self/fd/N`: Linux goes through that link without a look at the folders above.

Whether an identity can reach something is found out by trying, as that identity.
"""

import contextlib
import fcntl
import os
import shutil
import signal
import tempfile
from collections.abc import Sequence
from pathlib import Path

from dayshift.domain.errors import WrongUse
from dayshift.embedded.binaries import Program
from dayshift.embedded.folder import translated
from dayshift.embedded.guarded import GuardFailed, Launch, spawn_guarded
from dayshift.embedded.identity import Identity

_COPY = "dayshift-programs-"
_TRIAL_SECONDS = 20.0
_LEFT_OUT_OF_A_COPY = shutil.ignore_patterns("*.a", "include", "doc", "man", "__pycache__")


class Placement:
    """Programs and folders as one identity can reach them. Made by `place`; `close` removes a private copy."""

    def __init__(self, identity: Identity, programs: dict[str, Program]) -> None:
        self.identity = identity
        self.programs = programs
        self.copy: Path | None = None
        self.descriptors: list[int] = []

    def reach(self, folder: Path, log: Path) -> Path:
        """A path by which the server can use `folder`; it is `folder` itself wherever that works."""
        if not self.identity.is_foreign or _can(self.identity, log, 'cd "$1" && test -w .', folder):
            return folder
        descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
        self.descriptors.append(descriptor)
        return Path(f"/proc/self/fd/{descriptor}")

    def own(self, path: Path) -> None:
        """Give a folder or file that we made to the identity."""
        if self.identity.uid is not None:
            assert self.identity.gid is not None
            os.chown(path, self.identity.uid, self.identity.gid)

    def close(self) -> None:
        """Let go of everything; the servers must have ended. Safe to repeat."""
        while self.descriptors:
            os.close(self.descriptors.pop())
        if self.copy is not None:
            shutil.rmtree(self.copy, ignore_errors=True)
            self.copy = None


def place(candidates: Sequence[Identity], programs: dict[str, Program], log: Path) -> Placement:
    """The first identity that can run all programs, with copies where it must have them.

    Raises `WrongUse` that names each cure when none can.
    """
    for identity in candidates:
        placement = Placement(identity, programs)
        if not identity.is_foreign or _runs_all(identity, programs, log):
            return placement
        if not _can(identity, log, "true"):
            continue
        for base in dict.fromkeys((tempfile.gettempdir(), "/var/tmp", "/run")):  # noqa: S108 - mkdtemp makes it private
            with contextlib.suppress(OSError, shutil.Error):
                _copy_programs(placement, Path(base))
                if _runs_all(identity, placement.programs, log):
                    return placement
            placement.close()
            placement.programs = programs
    tried = " and as ".join(identity.name for identity in candidates)
    raise WrongUse(
        f"PostgreSQL does not run as root, and here it cannot be started as {tried} (user namespaces may be forbidden, and "
        f"changing the user too); {log} has the details. Start dayshift as an ordinary user, or set DAYSHIFT_DATABASE_URL "
        "and DAYSHIFT_VALKEY_URL to servers that run already.",
        code="engines_refuse_root",
    )


def _copy_programs(placement: Placement, base: Path) -> None:
    """Copy each program's parts to a folder that only the identity can enter, placed as they are to each other."""
    _remove_forgotten_copies(base)
    copy = Path(tempfile.mkdtemp(prefix=_COPY, dir=base))
    placement.copy = copy
    if placement.identity.gid is not None:
        os.chown(copy, 0, placement.identity.gid)
        copy.chmod(0o710)
    in_use = os.open(copy, os.O_RDONLY | os.O_DIRECTORY)
    placement.descriptors.append(in_use)
    fcntl.flock(in_use, fcntl.LOCK_SH)
    placement.programs = {name: _copied(program, copy / name) for name, program in placement.programs.items()}


def _remove_forgotten_copies(base: Path) -> None:
    """Remove copies whose servers and guards were all killed: nobody holds their lock any more."""
    for forgotten in base.glob(f"{_COPY}*"):
        if forgotten.is_symlink() or forgotten.stat().st_uid != os.geteuid():
            continue
        lock = os.open(forgotten, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW)
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            shutil.rmtree(forgotten, ignore_errors=True)
        except BlockingIOError:
            continue  # in use
        finally:
            os.close(lock)


def _copied(program: Program, into: Path) -> Program:
    common = Path(os.path.commonpath([part.parent for part in program.parts]))
    for part in program.parts:
        target = into / part.relative_to(common)
        target.parent.mkdir(parents=True, exist_ok=True)
        if part.is_dir():
            shutil.copytree(part, target, symlinks=True, ignore=_LEFT_OUT_OF_A_COPY)
        elif part.exists():
            shutil.copy2(part, target)
    for made in (into, *into.rglob("*")):
        if not made.is_symlink():
            made.chmod(0o755 if made.is_dir() or os.access(made, os.X_OK) else 0o644)
    path = into / program.path.relative_to(common)
    return Program(path=path, major=program.major, parts=(into,))


def _runs_all(identity: Identity, programs: dict[str, Program], log: Path) -> bool:
    return _can(
        identity, log, 'for program; do "$program" --version >/dev/null || exit 1; done', *_executables(programs)
    )


def _executables(programs: dict[str, Program]) -> list[Path]:
    executables = [program.path for program in programs.values()]
    return [*executables, programs["postgres"].beside("initdb")] if "postgres" in programs else executables


def _can(identity: Identity, log: Path, script: str, *arguments: Path) -> bool:
    """Whether a shell of that identity ends well on the script."""
    launch = Launch(
        argv=["/bin/sh", "-c", script, "dayshift-trial", *arguments],
        log=log,
        identity=identity,
        stages=((signal.SIGKILL, 1.0),),
    )
    try:
        trial = spawn_guarded(launch)
    except GuardFailed as error:
        with translated(log), log.open("a") as lines:
            lines.write(f"dayshift: as {identity.name}: {error}\n")
        return False
    status = trial.wait(_TRIAL_SECONDS)
    trial.stop()
    return status == 0
