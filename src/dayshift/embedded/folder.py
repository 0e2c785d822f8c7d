"""The data folder: who may use it now, and what lies where.

    DATA/owner.lock         flock, held by the process that started the engines, for as long as it lives; its pid inside
    DATA/servers.lock       flock, held by guards and servers too: free means that no server works on this folder
    DATA/postgres/          the cluster (mode 0700); absent until initdb has finished
    DATA/postgres.password  of its only user (0600)
    DATA/engines.json       the URLs while the engines run (0600)
    DATA/log/               postgres.log, valkey.log, local-model.log, each with one older generation

Two locks, because the end of the owner is not yet the end of its servers: they stop in order, and a next start waits
for them instead of refusing.
"""

import contextlib
import errno
import fcntl
import json
import os
import secrets
import stat
import time
from collections.abc import Iterator
from pathlib import Path

from dayshift.domain import clock
from dayshift.domain.errors import WrongUse

_SECONDS_FOR_OLD_SERVERS_TO_END = 30.0
_LARGEST_LOG_BYTES = 10_000_000

_CURE_OF_ERRNO = {
    errno.ENOSPC: "the disk is full; make room and start again",
    errno.EDQUOT: "the disk quota is used up; make room and start again",
    errno.EROFS: "the file system is read-only; name another folder with DAYSHIFT_DATA",
    errno.EACCES: "no permission; make the folder yours, or name another one with DAYSHIFT_DATA",
    errno.EPERM: "not permitted; make the folder yours, or name another one with DAYSHIFT_DATA",
    errno.ENOTDIR: "a file is in the way; name another folder with DAYSHIFT_DATA",
    errno.EEXIST: "a file is in the way; name another folder with DAYSHIFT_DATA",
}


class DataFolder:
    """A data folder that is ours from `open` to `close`."""

    def __init__(self, root: Path) -> None:
        self.root = root
        self.postgres = root / "postgres"
        self.binaries = root / "binaries"
        self._owner_lock: int | None = None
        self.servers_lock = -1

    @classmethod
    def open(cls, root: Path) -> "DataFolder":
        """Make the folder if need be and take it. Raises `WrongUse` when another process has it, or it cannot be used."""
        folder = cls(root.absolute())
        try:
            with translated(folder.root):
                folder.root.mkdir(mode=0o700, parents=True, exist_ok=True)
                folder._take()
        except BaseException:
            folder.close()
            raise
        return folder

    def close(self) -> None:
        """Let others have the folder; safe to repeat."""
        for lock in (self._owner_lock, self.servers_lock):
            if lock is not None and lock >= 0:
                os.close(lock)
        self._owner_lock, self.servers_lock = None, -1

    def log(self, name: str) -> Path:
        """The log file of that name."""
        return log_file(self.root, name)

    @property
    def password_file(self) -> Path:
        return self.root / "postgres.password"

    def make_password(self) -> str:
        """A new password for a cluster that is about to be made."""
        password = secrets.token_urlsafe(32)
        with translated(self.password_file):
            write_privately(self.password_file, password)
        return password

    def password(self) -> str:
        """The password of the cluster that is there."""
        with translated(self.password_file):
            try:
                return self.password_file.read_text().strip()
            except FileNotFoundError:
                raise WrongUse(
                    f"{self.password_file}, the password of the data in {self.postgres}, is missing. Put it back from your "
                    "backup, or name another folder with DAYSHIFT_DATA.",
                    code="password_missing",
                ) from None

    def announce(self, urls: dict[str, str]) -> None:
        """Let other commands of the same user find the running engines."""
        with translated(self.root):
            write_privately(self.root / "engines.json", json.dumps(urls))

    def withdraw(self) -> None:
        (self.root / "engines.json").unlink(missing_ok=True)

    def _take(self) -> None:
        lock = os.open(self.root / "owner.lock", os.O_RDWR | os.O_CREAT, 0o600)
        self._owner_lock = lock
        if not _try_lock(lock):
            holder = os.read(lock, 32).decode().strip() or "unknown"
            raise WrongUse(
                f"The data folder {self.root} is in use by process {holder}. Stop that one first, or name another folder "
                "with DAYSHIFT_DATA: two dayshift cannot run on one folder.",
                code="data_folder_in_use",
            )
        os.ftruncate(lock, 0)
        os.write(lock, str(os.getpid()).encode())
        self.servers_lock = os.open(self.root / "servers.lock", os.O_RDWR | os.O_CREAT, 0o600)
        deadline = clock.monotonic_seconds() + _SECONDS_FOR_OLD_SERVERS_TO_END
        while not _try_lock(self.servers_lock):
            if clock.monotonic_seconds() > deadline:
                raise WrongUse(
                    f"Servers of an earlier start still work on {self.root} and did not end within "
                    f"{_SECONDS_FOR_OLD_SERVERS_TO_END:.0f} s; end them by hand, then start again.",
                    code="data_folder_in_use",
                )
            time.sleep(0.02)  # flock has no timeout of its own


def running_engines(root: Path) -> dict[str, str] | None:
    """The URLs of engines that run on this folder now, for other commands of the same user; None when none runs."""
    try:
        lock = os.open(root / "owner.lock", os.O_RDWR)
    except OSError:
        return None
    try:
        if _try_lock(lock):
            return None
        urls: dict[str, str] = json.loads((root / "engines.json").read_text())
    except FileNotFoundError:
        return None
    else:
        return urls
    finally:
        os.close(lock)


def log_file(root: Path, name: str) -> Path:
    """A log file in the data folder, with a long one put aside first."""
    path = root / "log" / f"{name}.log"
    with translated(path):
        path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        if path.exists() and path.stat().st_size > _LARGEST_LOG_BYTES:
            path.replace(path.with_suffix(".log.1"))
        path.touch(mode=0o600)
    return path


def write_privately(path: Path, text: str) -> None:
    """Write a file that only we can read, whole or not at all."""
    temporary = path.with_name(f"{path.name}.new")
    temporary.unlink(missing_ok=True)
    descriptor = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_EXCL, stat.S_IRUSR | stat.S_IWUSR)
    with os.fdopen(descriptor, "w") as file:
        file.write(text)
        file.flush()
        os.fsync(descriptor)
    temporary.replace(path)


@contextlib.contextmanager
def translated(path: Path) -> Iterator[None]:
    """Turn what the system says about a folder or a file into words with a cure."""
    try:
        yield
    except OSError as error:
        cure = _CURE_OF_ERRNO.get(error.errno or 0, f"{error.strerror or error}")
        raise WrongUse(f"Cannot use {error.filename or path}: {cure}.", code="data_folder_unusable") from error


def _try_lock(lock: int) -> bool:
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True
