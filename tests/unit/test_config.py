import os
import re
from pathlib import Path

import pytest

from dayshift.config import PLACEHOLDER_KEY, VARIABLES, Config, secret_named, set_placeholder_keys
from dayshift.domain.errors import WrongUse

REPOSITORY = Path(__file__).parents[2]


def test_nothing_set_is_a_configuration():
    config = Config.from_env({})
    assert config == Config()
    assert (config.host, config.port, config.data_dir) == ("127.0.0.1", 8700, Path(".dayshift"))
    assert not config.has_a_provider


def test_every_variable_is_read():
    values = {
        "DAYSHIFT_DATABASE_URL": "postgresql://u:hunter2@db/x",
        "DAYSHIFT_VALKEY_URL": "rediss://:hunter2@cache:6379/0",
        "DAYSHIFT_DATA": "~/here",
        "DAYSHIFT_HOST": "0.0.0.0",
        "DAYSHIFT_PORT": "9000",
        "DAYSHIFT_TLS_CERT": "tls/cert.pem",
        "DAYSHIFT_TLS_KEY": "tls/key.pem",
        "DAYSHIFT_TRUSTED_PROXIES": "10.0.0.5, 10.1.0.0/16,::1",
        "DAYSHIFT_API_KEY": "dsk_abc",
        "DAYSHIFT_VERSION": "2026-11-22",
        "DAYSHIFT_LOG": "JSON",
        "DAYSHIFT_LOG_LEVEL": "debug",
        "OPENAI_API_KEY": "sk-abc",
        "OPENAI_BASE_URL": "http://127.0.0.1:1/v1",
        "ANTHROPIC_API_KEY": "sk-ant-abc",
        "ANTHROPIC_BASE_URL": "http://127.0.0.1:2",
    }
    assert set(values) == {variable.name for variable in VARIABLES}
    config = Config.from_env(values)
    assert config.data_dir == Path.home() / "here"
    assert config.log_format == "json"
    assert config.gateway_url == "https://127.0.0.1:9000"
    assert config.trusted_proxies == ("10.0.0.5", "10.1.0.0/16", "::1")
    assert config.has_a_provider
    assert all(getattr(config, variable.field) != getattr(Config(), variable.field) for variable in VARIABLES)


def test_secrets_do_not_show():
    config = Config.from_env({"DAYSHIFT_DATABASE_URL": "postgresql://u:hunter2@db/x", "DAYSHIFT_API_KEY": "dsk_abc"})
    assert "hunter2" not in repr(config)
    assert "dsk_abc" not in str(config)
    assert "database_url=[given]" in repr(config)
    assert "valkey_url=None" in repr(config)


def test_empty_is_unset():
    assert Config.from_env({"DAYSHIFT_PORT": " ", "DAYSHIFT_DATABASE_URL": ""}) == Config()


@pytest.mark.parametrize(
    ("name", "value", "cure"),
    [
        ("DAYSHIFT_PORT", "http", "between 0 and 65535"),
        ("DAYSHIFT_PORT", "70000", "between 0 and 65535"),
        ("DAYSHIFT_PORT", "-1", "between 0 and 65535"),
        ("DAYSHIFT_LOG", "xml", "json, pretty"),
        ("DAYSHIFT_LOG_LEVEL", "loud", "debug, info, warning, error"),
        ("DAYSHIFT_DATABASE_URL", "mysql://u:hunter2@db/x", "postgresql://"),
        ("DAYSHIFT_DATABASE_URL", "host=db password=hunter2", "postgresql://"),
        ("DAYSHIFT_VALKEY_URL", "http://cache", "redis://"),
        ("DAYSHIFT_VALKEY_URL", "redis://[::1", "redis://"),
        ("DAYSHIFT_TLS_CERT", "cert.pem", "DAYSHIFT_TLS_KEY is not: set both"),
        ("DAYSHIFT_TLS_KEY", "key.pem", "DAYSHIFT_TLS_CERT is not: set both"),
        ("DAYSHIFT_TRUSTED_PROXIES", "10.0.0.5, proxy", "10.0.0.5,10.1.0.0/16"),
        ("DAYSHIFT_API_KEY", "dsk_a b", "copy the key again"),
        ("OPENAI_BASE_URL", "api.openai.com/v1", "https://api.openai.com/v1"),
        ("OPENAI_BASE_URL", "http://127.0.0.1:99999/v1", "a port that is none"),
        ("OPENAI_BASE_URL", "http://u:hunter2@/v1", "has no host"),
        ("ANTHROPIC_BASE_URL", "http://u:hunter2@h:port", "a port that is none"),
        ("ANTHROPIC_BASE_URL", "http://[::1", "https://api.anthropic.com"),
    ],
)
def test_a_bad_value_names_the_variable_and_the_cure(name: str, value: str, cure: str):
    with pytest.raises(WrongUse) as caught:
        Config.from_env({name: value})
    assert caught.value.message.startswith(name)
    assert cure in caught.value.message
    assert "hunter2" not in caught.value.message


def test_ipv6_hosts_are_bracketed():
    assert Config(host="::").gateway_url == "http://[::1]:8700"


def test_nobody_else_reads_the_environment():
    reads = re.compile(r"\bos\.environ\b|\bos\.getenv\b|\bfrom os import .*\benviron\b")
    house = REPOSITORY / "src" / "dayshift"
    allowed = {"config.py"}
    guilty = [
        str(path.relative_to(house))
        for path in house.rglob("*.py")
        if "fakellm" not in path.parts  # beside the house, with a door of its own
        and str(path.relative_to(house)) not in allowed
        and reads.search(path.read_text())
    ]
    assert guilty == []


def test_every_variable_is_described():
    page = (REPOSITORY / "docs" / "reference" / "environment.md").read_text()
    for variable in VARIABLES:
        assert f"| `{variable.name}` | {variable.default} | {variable.meaning} |" in page


def test_engines_may_be_at_several_hosts():
    several = {
        "DAYSHIFT_DATABASE_URL": "postgresql://u@one:5432,two:5433/x",
        "DAYSHIFT_VALKEY_URL": "redis+sentinel://a:1,b:2/m",
    }
    config = Config.from_env(several)
    assert [config.database_url, config.valkey_url] == list(several.values())


def test_a_secret_of_the_settings_is_what_its_variable_holds(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("OPENAI_BASE_URL", raising=False)
    for value, secret in ((" sk-1 ", "sk-1"), ("  ", None), (PLACEHOLDER_KEY, None)):
        monkeypatch.setenv("OPENAI_API_KEY", value)
        assert secret_named("OPENAI_API_KEY") == secret
    monkeypatch.delenv("OPENAI_API_KEY")
    assert secret_named("OPENAI_API_KEY") is None
    monkeypatch.setenv("OPENAI_BASE_URL", "http://127.0.0.1:1/v1")  # of the local model, which takes any
    monkeypatch.setenv("OPENAI_API_KEY", PLACEHOLDER_KEY)
    assert secret_named("OPENAI_API_KEY") == PLACEHOLDER_KEY


def test_a_placeholder_is_no_key(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("OPENAI_API_KEY", "ANTHROPIC_API_KEY"):
        monkeypatch.setenv(name, "")  # counts as unset
    set_placeholder_keys()
    assert os.environ["OPENAI_API_KEY"] == PLACEHOLDER_KEY
    assert not Config.from_env().has_a_provider
    for name in ("OPENAI_API_KEY", "ANTHROPIC_API_KEY"):
        del os.environ[name]
