import pytest

from dayshift.domain.redaction import HIDDEN, redact_text
from dayshift.telemetry.redaction import redact


@pytest.mark.parametrize(
    ("text", "clean"),
    [
        ("key dsk_AbCdEf0123456789-_x given", f"key dsk_{HIDDEN} given"),
        ("sk-proj-abcdef1234567890", f"sk-{HIDDEN}"),
        ("sk-ant-api03-abc_DEF-123", f"sk-{HIDDEN}"),
        ("whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw", f"whsec_{HIDDEN}"),
        ("postgresql://ds:p@ss@db.internal:5432/x", f"postgresql://ds:{HIDDEN}@db.internal:5432/x"),
        ("rediss://:hunter2@cache:6379/0", f"rediss://:{HIDDEN}@cache:6379/0"),
        ("postgresql://db/x?user=u&password=hunter2&a=b", f"postgresql://db/x?user=u&password={HIDDEN}&a=b"),
        ("Authorization: Bearer abc.def-ghi", f"Authorization: Bearer {HIDDEN}"),
        ("{'authorization': 'Basic dXNlcjpwYXNz'}", f"{{'authorization': 'Basic {HIDDEN}'}}"),
        ("[(b'authorization', b'Bearer abcdefghij')]", f"[(b'authorization', b'Bearer {HIDDEN}')]"),
        ("[(b'authorization', b'Basic dXNlcjpwYXNz')]", f"[(b'authorization', b'Basic {HIDDEN}')]"),
        ('{"api_key": "abc", "model": "m"}', f'{{"api_key": "{HIDDEN}", "model": "m"}}'),
    ],
)
def test_what_looks_like_a_secret_is_hidden(text: str, clean: str):
    assert redact_text(text) == clean


@pytest.mark.parametrize(
    "text",
    [
        "the task sk- did nothing",
        "http://127.0.0.1:8700/v1/tasks",
        "postgresql://postgres@127.0.0.1:5499/postgres",
        "input_tokens=512 max_tokens=1024",
        "a secretary asked at 10:30 for https://example.com/a:b@c",
    ],
)
def test_ordinary_text_stays(text: str):
    assert redact_text(text) == text


def test_a_field_named_like_a_secret_loses_its_value_at_any_depth():
    line = {
        "event": "calling",
        "headers": {"Authorization": "anything", "X-Api-Key": "anything", "accept": "json"},
        "arguments": [{"password": "short"}],
        "token": b"raw",
        "input_tokens": 7,
    }
    assert redact(None, "", line) == {
        "event": "calling",
        "headers": {"Authorization": HIDDEN, "X-Api-Key": HIDDEN, "accept": "json"},
        "arguments": [{"password": HIDDEN}],
        "token": HIDDEN,
        "input_tokens": 7,
    }


def test_secrets_inside_foreign_values_are_hidden():
    class Connection:
        def __repr__(self) -> str:
            return "<Connection postgresql://ds:hunter2@db/x>"

    assert redact(None, "", {"connection": Connection(), "raw": b"sk-abcdefghijk"}) == {
        "connection": f"<Connection postgresql://ds:{HIDDEN}@db/x>",
        "raw": f"sk-{HIDDEN}",
    }


def test_a_value_that_contains_itself_ends():
    loop: list[object] = []
    loop.append(loop)
    assert "[...]" in str(redact(None, "", {"loop": loop}))


def test_a_long_text_without_spaces_is_gone_over_once():
    long = (
        "a" * 300_000
    )  # as a picture in a message is; a search from each of its letters to its end would take a minute
    assert redact_text(f"{long}://me:hunter2@db/x") == f"{long}://me:{HIDDEN}@db/x"
