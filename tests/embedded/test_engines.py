import asyncio
import contextlib
import os
import re
import shutil
import signal
import socket
import stat
import subprocess
import sys
import threading
from pathlib import Path
from urllib.parse import urlsplit

import asyncpg
import psutil
import pytest
import redis.asyncio

from dayshift.domain.errors import WrongUse
from dayshift.embedded import EngineFailed, running_engines, start_engines
from tests.embedded.helpers import (
    assert_all_end,
    assert_no_server_works_on,
    family,
    owner,
    sql,
    valkey_pings,
    wait_until,
)


@pytest.fixture(scope="module")
def template(tmp_path_factory):
    """A data folder that was started once and stopped, to copy."""
    folder = tmp_path_factory.mktemp("template") / "data"
    start_engines(folder).stop()
    return folder


@pytest.fixture
def data(template, tmp_path):
    """A data folder of an earlier start, in a path with spaces."""
    return shutil.copytree(template, tmp_path / "a path with spaces" / "data")


async def test_both_engines_answer_in_this_process_and_in_others(data):
    with start_engines(data) as engines:
        assert await sql(engines.database_url, "SHOW fsync") == "on"
        assert await sql(engines.database_url, "SHOW synchronous_commit") == "on"
        assert int(await sql(engines.database_url, "SHOW max_connections")) >= 200
        assert await sql(engines.database_url, "SHOW server_encoding") == "UTF8"
        client = redis.asyncio.from_url(engines.valkey_url)
        assert (await client.config_get("maxmemory-policy"))["maxmemory-policy"] == "noeviction"
        assert (await client.config_get("save"))["save"] == ""
        await client.aclose()
        program = "import asyncio, asyncpg, sys; print(asyncio.run(asyncpg.connect(sys.argv[1])).get_server_pid() > 0)"
        other = await asyncio.create_subprocess_exec(sys.executable, "-c", program, engines.database_url, stdout=-1)
        assert await other.communicate() == (b"True\n", None)


async def test_data_of_the_ledger_survives_and_stopping_twice_is_safe(tmp_path):
    engines = start_engines(tmp_path / "not" / "there yet")
    await sql(engines.database_url, "CREATE TABLE kept AS SELECT 7 AS number")
    engines.stop()
    engines.stop()
    with start_engines(tmp_path / "not" / "there yet") as again:
        assert await sql(again.database_url, "SELECT number FROM kept") == 7


async def test_only_who_knows_the_password_gets_in_and_the_folder_keeps_it_private(data):
    with start_engines(data) as engines:
        parts = urlsplit(engines.database_url)
        with pytest.raises(asyncpg.InvalidPasswordError):
            await asyncpg.connect(engines.database_url.replace(parts.password, "guessed"))
        with pytest.raises(redis.AuthenticationError):
            await valkey_pings(re.sub(r"//.*@", "//", engines.valkey_url))
        arguments = [argument for pid in engines.pids for argument in psutil.Process(pid).cmdline()]
        for secret in (parts.password, urlsplit(engines.valkey_url).password):
            assert not [argument for argument in arguments if secret in argument]
        for private in ("postgres.password", "engines.json", "log/postgres.log"):
            assert stat.S_IMODE((data / private).stat().st_mode) == 0o600
        assert {urlsplit(url).hostname for url in (engines.database_url, engines.valkey_url)} == {"127.0.0.1"}


def test_other_commands_find_engines_that_run(data):
    assert running_engines(data) is None
    with start_engines(data) as engines:
        urls = {"database_url": engines.database_url, "valkey_url": engines.valkey_url}
        assert running_engines(data) == urls
    assert running_engines(data) is None


def test_a_second_start_on_the_folder_is_refused_and_names_the_first(data):
    with owner(data) as (said, _), pytest.raises(WrongUse, match=rf"in use by process {said['pid']}\b"):
        start_engines(data)


async def test_after_sigkill_nothing_is_left_and_the_next_start_works(data):
    with owner(data) as (said, process):
        await sql(said["database_url"], "CREATE TABLE kept AS SELECT 7 AS number")
        connection = await asyncpg.connect(said["database_url"])  # a client does not hold up the end
        relatives = family(process.pid)
        assert len(relatives) >= 5
        process.kill()
        assert_all_end(relatives, within_seconds=10)
        connection.terminate()
    assert_no_server_works_on(data)
    with start_engines(data) as engines:
        assert await sql(engines.database_url, "SELECT number FROM kept") == 7


def test_a_start_right_after_sigkill_waits_for_the_end_of_the_old_servers(data):
    with owner(data) as (_, process):
        process.kill()
        process.wait()
        with start_engines(data) as engines:
            assert engines.ended() == []


async def test_killed_to_the_last_process_the_next_start_still_works(data):
    with owner(data) as (said, process):
        await sql(said["database_url"], "CREATE TABLE kept AS SELECT 7 AS number")
        relatives = family(process.pid)
        for end in (psutil.Process.suspend, psutil.Process.kill):  # none gets the time to react to another's end
            for one in relatives:
                with contextlib.suppress(psutil.NoSuchProcess):
                    end(one)
        assert_all_end(relatives, within_seconds=10)
    assert (data / "postgres" / "postmaster.pid").exists()
    (data / "postgres" / "postmaster.pid").write_text(f"{os.getpid()}\n")  # the pid may be anybody's by now
    with start_engines(data) as engines:
        assert await sql(engines.database_url, "SELECT number FROM kept") == 7


def test_a_server_that_dies_is_seen(data):
    with start_engines(data) as engines:
        os.kill(engines.pids[1], signal.SIGKILL)
        wait_until(engines.ended)
        assert engines.ended() == [128 + signal.SIGKILL]


async def test_may_be_started_and_stopped_in_threads_of_an_async_program(data):
    engines = await asyncio.to_thread(start_engines, data)
    assert await valkey_pings(engines.valkey_url)
    await asyncio.gather(asyncio.to_thread(engines.stop), asyncio.to_thread(engines.stop))
    assert_no_server_works_on(data)


def test_an_interrupted_first_start_leaves_nothing_half_made(tmp_path):
    with subprocess.Popen([sys.executable, "-m", "tests.embedded.owner", tmp_path]) as process:
        wait_until(lambda: list(tmp_path.glob("postgres.new-*/PG_VERSION")))
        process.kill()
    assert not (tmp_path / "postgres").exists()
    with start_engines(tmp_path):
        assert not list(tmp_path.glob("postgres.new-*"))


def test_data_of_another_major_version_is_refused_and_not_touched(data):
    (data / "postgres" / "PG_VERSION").write_text("14\n")
    before = {path: path.stat().st_mtime_ns for path in (data / "postgres").rglob("*")}
    with pytest.raises(WrongUse, match=r"written by PostgreSQL 14.*pg_dumpall.*move .* away.*psql"):
        start_engines(data)
    assert {path: path.stat().st_mtime_ns for path in (data / "postgres").rglob("*")} == before


def test_a_folder_that_is_no_cluster_is_refused(tmp_path):
    (tmp_path / "postgres").mkdir()
    (tmp_path / "postgres" / "my thesis.txt").write_text("precious")
    with pytest.raises(WrongUse, match="holds no PostgreSQL data"):
        start_engines(tmp_path)
    assert (tmp_path / "postgres" / "my thesis.txt").read_text() == "precious"


def test_a_lost_password_is_a_clear_error(data):
    (data / "postgres.password").unlink()
    with pytest.raises(WrongUse, match=r"postgres\.password.*is missing"):
        start_engines(data)
    assert_no_server_works_on(data)


@pytest.mark.parametrize("which", ["postgres_ports", "valkey_ports"])
def test_a_taken_port_is_a_clear_error_and_a_range_goes_on_to_the_next(data, which):
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        with pytest.raises(EngineFailed, match="taken"):
            start_engines(data, **{which: [port]})
        assert_no_server_works_on(data)
        with start_engines(data, **{which: range(port, min(port + 50, 65536))}) as engines:
            assert port not in {urlsplit(engines.database_url).port, urlsplit(engines.valkey_url).port}


def test_a_server_that_does_not_start_shows_its_last_words(data):
    with (data / "postgres" / "postgresql.conf").open("a") as config:
        config.write("work_mem = 'much'\n")
    with pytest.raises(EngineFailed, match=r'(?s)invalid value for parameter "work_mem"'):
        start_engines(data)
    assert_no_server_works_on(data)


def test_a_file_in_the_way_is_a_clear_error(tmp_path):
    (tmp_path / "data").write_text("a file")
    with pytest.raises(WrongUse, match="in the way"):
        start_engines(tmp_path / "data")


def test_a_read_only_place_is_a_clear_error():
    with pytest.raises(WrongUse, match="Cannot use /proc/"):
        start_engines(Path("/proc/self/data"))


def test_threads_that_race_for_a_folder_get_one_set_of_engines(data):
    results = []

    def start():
        try:
            results.append(start_engines(data))
        except WrongUse as error:
            results.append(error)

    threads = [threading.Thread(target=start) for _ in range(3)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    winners = [result for result in results if not isinstance(result, WrongUse)]
    assert len(winners) == 1
    assert [error.code for error in results if isinstance(error, WrongUse)] == ["data_folder_in_use"] * 2
    winners[0].stop()
