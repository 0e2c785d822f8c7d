"""Commands that work on the machine's own engines."""

import asyncio
import json
from pathlib import Path

import pytest

from dayshift.domain import api_keys, ids
from dayshift.domain.pins import pinned_name
from dayshift.domain.task import NewTask
from dayshift.ledger import Ledger, StartWish, WorkerRow
from tests.cli.conftest import Cli, Outcome

AGENTS = "from dayshift import agent\n\n@agent\nasync def echo(text: str) -> str:\n    return text\n"


@pytest.fixture
def engines(migrated_database_url: str, valkey_url: str, cli: Cli, monkeypatch: pytest.MonkeyPatch) -> None:
    """Engines given by URL, with the schema in place."""
    monkeypatch.setenv("DAYSHIFT_DATABASE_URL", migrated_database_url)
    monkeypatch.setenv("DAYSHIFT_VALKEY_URL", valkey_url)
    monkeypatch.setenv("DAYSHIFT_PORT", "1")


def test_without_engines_the_cure_is_told(cli: Cli):
    done = cli("config", "get")
    assert done.status == 2
    assert "DAYSHIFT_DATABASE_URL is not set, and nothing runs on .dayshift" in done.err


def test_an_old_schema_is_told(cli: Cli, database_url: str, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setenv("DAYSHIFT_DATABASE_URL", database_url)
    done = cli("keys", "ls")
    assert (done.status, done.out) == (2, "")
    assert "run `dayshift migrate` first" in done.err


def test_a_password_is_never_told(cli: Cli, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setenv("DAYSHIFT_DATABASE_URL", "postgresql://ds:hunter2@127.0.0.1:1/x")
    for command in (["keys", "ls"], ["check"], ["doctor"]):
        done = cli(*command)
        assert done.status == 1
        assert "hunter2" not in done.out + done.err


def test_migrate_twice_changes_nothing(cli: Cli, database_url: str, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setenv("DAYSHIFT_DATABASE_URL", database_url)
    assert cli("migrate", "--json").json["applied"]
    assert cli("migrate", "--json").json == {"applied": []}


@pytest.mark.usefixtures("engines")
def test_a_new_key_stands_alone_on_stdout(cli: Cli):
    made = cli("keys", "create", "--tenant", "acme")
    assert made.status == 0
    secret = made.out.removesuffix("\n")
    assert secret.startswith(api_keys.SECRET_PREFIX)
    assert "\n" not in secret
    assert secret not in made.err
    as_json = cli("keys", "create", "--tenant", "acme", "--scope", "admin", "--scope", "read", "--json").json
    assert set(as_json) == {"id", "key", "tenant", "scopes"}
    assert as_json["scopes"] == ["read", "admin"]

    listed = cli("keys", "ls", "--json").json["data"]
    assert [key["prefix"] for key in listed] == [as_json["key"][:10], secret[:10]]
    assert secret not in cli("keys", "ls").out
    assert cli("keys", "revoke", as_json["id"]).status == 0
    assert [bool(key["revoked_at"]) for key in cli("keys", "ls", "--json").json["data"]] == [True, False]
    assert cli("keys", "ls", "--tenant", "nobody").err.startswith("no keys")


@pytest.mark.usefixtures("engines")
@pytest.mark.parametrize(
    ("arguments", "status"),
    [
        (("create", "--tenant", "*"), 2),
        (("create", "--tenant", ""), 2),
        (("create", "--tenant", "a", "--expires-at", "2020-01-01"), 2),
        (("revoke", "key_nonsense"), 1),
        (("revoke", "key_01a20492-eb5e-701b-bb33-70dfd33989d8"), 1),
    ],
)
def test_a_bad_key_command_changes_nothing(cli: Cli, arguments: tuple[str, ...], status: int):
    done = cli("keys", *arguments)
    assert (done.status, done.out, done.err.count("\n")) == (status, "", 1)
    assert cli("keys", "ls", "--json").json["data"] == []


@pytest.mark.usefixtures("engines")
def test_settings_are_changed_and_changed_back(cli: Cli):
    done = cli("config", "set", "tenants.acme.weight", "3", "--why", "they pay more")
    assert (done.status, done.out) == (0, "version 1: tenants.acme.weight 3\n")
    cli("config", "set", 'tenants."a.com"', '{"weight": 2}')
    assert cli("config", "get", "tenants.acme").json == {"weight": 3}
    assert cli("config", "get").json == {"tenants": {"acme": {"weight": 3}, "a.com": {"weight": 2}}}
    got = cli("config", "get", "tenants.acme.weight", "--json").json
    assert (got["version"], got["why"]) == (1, "they pay more")
    assert "@" in got["by"]

    (difference,) = cli("config", "diff", "1", "--json").json["data"]
    assert difference == {"path": 'tenants."a.com".weight', "after": 2}
    assert "tenants" in cli("config", "diff", "0", "1").out
    assert cli("config", "unset", "tenants.acme").out == "version 3: tenants.acme unset\n"
    assert cli("config", "rollback", "1").status == 0
    assert cli("config", "get").json == {"tenants": {"acme": {"weight": 3}}}
    assert cli("config", "rollback", "1").out == "nothing to change; version 4 stays\n"
    history = cli("config", "history", "--limit", "2", "--json").json
    assert [change["version"] for change in history["data"]] == [4, 3]
    assert history["has_more"]
    assert "they pay more" in cli("config", "history").out


@pytest.mark.usefixtures("engines")
@pytest.mark.parametrize(
    ("arguments", "status", "told"),
    [
        (("set", "tenants.acme.weight", "three"), 2, """a text needs its own quotes: '"three"'"""),
        (("set", "tenants.acme.weight", "-1"), 2, "tenants.acme.weight: Expected `float` > 0.0, got -1"),
        (("set", "tenants.acme.wieght", "1"), 2, "did you mean tenants.acme.weight?"),
        (("set", "providers.own", "{}"), 2, "needs format and base_url"),
        (("set", "alerts.depth", "{}"), 2, "not known to this version"),
        (("set", "gateway.default_agent", '"a"', "--if-version", "7"), 1, "There is no settings version 7"),
        (("get", "queue"), 1, "did you mean queues?"),
        (("rollback", "5"), 1, "There is no settings version 5"),
        (("diff", "5"), 1, "There is no settings version 5"),
    ],
)
def test_a_bad_change_is_refused_with_its_path_and_reason(cli: Cli, arguments: tuple[str, ...], status: int, told: str):
    done = cli("config", *arguments)
    assert (done.status, done.out, done.err.count("\n")) == (status, "", 1)
    assert told in done.err
    assert cli("config", "history", "--json").json["data"] == []


@pytest.mark.usefixtures("engines")
def test_check_and_doctor_find_what_is_so(cli: Cli, tmp_path: Path):
    (tmp_path / "agents.py").write_text(AGENTS)
    done = cli("check", "agents.py", "--json")
    assert (done.status, {finding["state"] for finding in done.json["data"]}) == (0, {"ok"})
    assert {finding["subject"] for finding in done.json["data"]} == {
        "environment",
        "PostgreSQL",
        "schema",
        "Valkey",
        "agents",
    }
    done = cli("doctor", "--json")
    missing = {finding["subject"]: finding["cure"] for finding in done.json["data"] if finding["state"] != "ok"}
    assert done.status == 0
    assert missing.keys() == {"provider", "API keys", "workers", "gateway"}
    assert missing["API keys"] == "dayshift keys create --tenant NAME"
    cli("keys", "create", "--tenant", "acme")
    assert "API keys: 1 open the door" in cli("doctor").out


def _provider_keys(done: Outcome) -> list[tuple[str, str, str]]:
    found = [one for one in done.json["data"] if one["subject"] == "provider key"]
    return [(one["state"], one["what"], one["cure"]) for one in found]


@pytest.mark.usefixtures("engines")
def test_a_providers_key_that_is_not_in_the_environment_is_named(
    cli: Cli, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    (tmp_path / "agents.py").write_text(AGENTS)
    for name in ("FIRST_KEY", "SECOND_KEY"):
        monkeypatch.delenv(name, raising=False)
    own = {
        "format": "openai",
        "base_url": "http://127.0.0.1:9/v1",
        "api_key": ["${env:FIRST_KEY}", "${env:SECOND_KEY}"],
    }
    cli("config", "set", "providers.own", json.dumps(own))
    cure = "set FIRST_KEY and SECOND_KEY where workers are started, or change providers.own.api_key"
    for command, state, status in (
        (["check", "agents.py"], "broken", 1),
        (["check"], "missing", 0),
        (["doctor"], "missing", 0),
    ):
        done = cli(*command, "--json")
        assert (done.status, [found[0] for found in _provider_keys(done)]) == (status, [state])
        assert "names FIRST_KEY, SECOND_KEY, which this environment does not have" in _provider_keys(done)[0][1]
        assert _provider_keys(done)[0][2] == cure

    monkeypatch.setenv("SECOND_KEY", "sk-never-shown")
    done = cli("check", "agents.py", "--json")
    ((state, what, _),) = _provider_keys(done)
    assert (done.status, state) == (0, "missing")
    assert "names FIRST_KEY, which" in what
    assert "the other 1 of its keys" in what
    assert "sk-never-shown" not in done.out + done.err

    monkeypatch.setenv("FIRST_KEY", "sk-nor-this")
    assert _provider_keys(cli("check", "agents.py", "--json")) == []


async def _strand_a_task(database_url: str) -> str:
    """One of a pinned agent, whose worker dies."""
    worker = WorkerRow(id=ids.new(ids.WORKER), pid=1, host="box", version="v7", agents=["echo"], slots=1)
    task = NewTask(id=ids.new(ids.TASK), tenant="acme", agent="echo", queue="default", input=b"{}")
    async with Ledger(database_url) as ledger:
        await ledger.workers.register(worker)
        await ledger.tasks.accept([task])
        wish = StartWish(task_id=task.id, worker_id=worker.id, version="v7")
        await ledger.tasks.start([wish], {"echo": pinned_name("echo", "v7")})
        await ledger.workers.release(worker.id, "died")
    return task.id


@pytest.mark.usefixtures("engines")
def test_doctor_names_tasks_that_no_living_version_can_continue(cli: Cli, migrated_database_url: str):
    task_id = asyncio.run(_strand_a_task(migrated_database_url))
    (finding,) = [one for one in cli("doctor", "--json").json["data"] if one["subject"] == "stranded tasks"]
    assert finding["state"] == "broken"
    assert all(word in finding["what"] for word in ("1 tasks of echo", task_id, "version v7"))
    assert "DAYSHIFT_VERSION=v7" in finding["cure"]


@pytest.mark.usefixtures("engines")
@pytest.mark.parametrize(
    ("variable", "value", "file", "subject"),
    [
        ("DAYSHIFT_LOG", "xml", None, "environment"),
        ("DAYSHIFT_DATABASE_URL", "postgresql://127.0.0.1:1/x", None, "PostgreSQL"),
        ("DAYSHIFT_VALKEY_URL", "redis://127.0.0.1:1", None, "Valkey"),
        ("DAYSHIFT_LOG", "json", "missing.py", "agents"),
        ("DAYSHIFT_LOG", "json", "broken.py", "agents"),
    ],
)
def test_what_is_broken_is_status_1_with_a_cure(
    cli: Cli,
    monkeypatch: pytest.MonkeyPatch,
    tmp_path: Path,
    *,
    variable: str,
    value: str,
    file: str | None,
    subject: str,
):
    (tmp_path / "broken.py").write_text("import nothing_like_it\n")
    monkeypatch.setenv(variable, value)
    done = cli("check", *([file] if file else []), "--json")
    broken = [finding for finding in done.json["data"] if finding["state"] == "broken"]
    assert (done.status, [finding["subject"] for finding in broken]) == (1, [subject])
    assert all(finding["cure"] for finding in broken)


def test_check_without_engines_looks_for_what_run_would_start(cli: Cli):
    done = cli("check")
    assert "engines: " in done.out


def test_engines_that_run_on_the_data_folder_are_found(
    cli: Cli, database_url: str, valkey_url: str, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr(
        "dayshift.embedded.running_engines", lambda _folder: {"database_url": database_url, "valkey_url": valkey_url}
    )
    assert cli("migrate").status == 0
    done = cli("doctor", "--json")
    missing = {finding["subject"] for finding in done.json["data"] if finding["state"] == "missing"}
    assert {"PostgreSQL of your own", "Valkey of your own"} <= missing
