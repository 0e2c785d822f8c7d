import os
import subprocess
import sys

import pytest

from dayshift._version import __version__
from tests.cli.conftest import Cli
from tests.cli.reference import PAGE, page


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        (("nonsense",), "nonsense"),
        (("tasks", "show"), "task"),
        (("submit", "echo"), "INPUT"),
        (("tasks", "ls", "--limit", "many"), "many"),
        (("tasks", "ls", "--colour", "red"), "--colour"),
        (("tasks", "cancel"), "Name one task or more"),
        (("dead", "drop"), "--all"),
        (("keys", "create"), "--tenant"),
        (("keys", "create", "--tenant", "acme", "--scope", "root"), "root"),
        (("config", "rollback", "first"), "first"),
    ],
)
def test_wrong_usage_is_one_line_and_status_2(cli: Cli, arguments: tuple[str, ...], told: str):
    done = cli(*arguments)
    assert done.status == 2
    assert done.out == ""
    assert told in done.err
    assert done.err.count("\n") == 1
    assert done.err.startswith("dayshift: ")


def test_help_and_version_are_status_0(cli: Cli):
    assert cli("--version").out.strip() == __version__
    done = cli("--help")
    assert done.status == 0
    for command in ("run", "serve", "submit", "tasks", "dead", "config", "keys", "migrate", "check", "doctor"):
        assert command in done.out


def test_a_bad_variable_is_one_line_that_names_it(cli: Cli, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setenv("DAYSHIFT_PORT", "many")
    done = cli("tasks", "ls")
    assert done.status == 2
    assert done.err == "dayshift: DAYSHIFT_PORT is 'many': give a port between 0 and 65535, as in DAYSHIFT_PORT=8700\n"


def test_debug_shows_the_traceback(cli: Cli, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setenv("DAYSHIFT_PORT", "many")
    with pytest.raises(Exception, match="DAYSHIFT_PORT"):
        cli("tasks", "ls", "--debug")


def test_what_nobody_expected_is_one_line_too(cli: Cli, monkeypatch: pytest.MonkeyPatch):
    def broken(*_: object) -> None:
        raise ZeroDivisionError("odd\nindeed")

    monkeypatch.setattr("dayshift.cli.tasks.Gateway", broken)
    done = cli("tasks", "ls")
    assert (done.status, done.err) == (1, "dayshift: unexpected ZeroDivisionError: odd indeed (--debug shows where)\n")


def test_help_imports_nothing_heavy():
    seen = subprocess.run(
        [sys.executable, "-c", "import sys, dayshift.cli; print(*sys.modules)"],
        capture_output=True,
        text=True,
        check=True,
    ).stdout.split()
    heavy = {
        "httpx2",
        "asyncpg",
        "redis",
        "starlette",
        "uvicorn",
        "structlog",
        "prometheus_client",
        "openai",
        "rich.table",
    }
    assert heavy & set(seen) == set()


def test_a_reader_that_leaves_is_no_error():
    reading, writing = os.pipe()
    os.close(reading)
    done = subprocess.run(
        [sys.executable, "-m", "dayshift", "--version"], stdout=writing, stderr=subprocess.PIPE, check=False
    )
    os.close(writing)
    assert b"Traceback" not in done.stderr


def test_the_reference_is_up_to_date():
    assert PAGE.read_text() == page(), "write it anew: python -m tests.cli.reference"
