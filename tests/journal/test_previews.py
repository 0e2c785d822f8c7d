"""Previews: off they cost nothing, on they hold no secret, wherever in a request it was."""

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dayshift.agents.calling import calling
from dayshift.agents.llm_calls import _call_of
from dayshift.domain.effect import EffectKind
from dayshift.journal import AttemptJournal, Call, attempt, call_of
from dayshift.journal.writer import Nowhere
from dayshift.llm.formats import CHAT
from dayshift.llm.request import question_of

PLANTED = "Zq7Planted9xW4kR2mT8"
LOOKS = (
    f"Bearer {PLANTED}",
    f"sk-proj-{PLANTED}",
    f"dsk_{PLANTED}",
    f"whsec_{PLANTED}",
    f"eyJhbGciOi.{PLANTED}.{PLANTED}",
    f"postgresql://me:{PLANTED}@db/x",
    f"Authorization: Basic {PLANTED}",
    f"-----BEGIN RSA PRIVATE KEY-----\nab\n{PLANTED}\n-----END RSA PRIVATE KEY-----",
    f"-----BEGIN PRIVATE KEY-----\n{PLANTED}",
)
NAMES = ("password", "db_password", "token", "accessToken", "X-Api-Key", "Set-Cookie", "client_secret", "authorization")

words = st.text("abK 19\"'\\{}[]:=/@,._-\n\0é", max_size=12)
plain = st.none() | st.booleans() | st.integers() | words
around = st.recursive(plain, lambda inner: st.lists(inner, max_size=3) | st.dictionaries(words, inner, max_size=3))


@st.composite
def planted(draw: st.DrawFn) -> Any:
    """Some JSON with a secret in it: by its look in a text or a name, or under a name that says so; maybe as JSON in a text."""
    value: Any
    if draw(st.booleans()):
        value = f"{draw(words)} {draw(st.sampled_from(LOOKS))} {draw(words)}"
        if draw(st.booleans()):
            value = {value: 1}
    else:
        value = {draw(st.sampled_from(NAMES)): draw(st.sampled_from((PLANTED, [PLANTED], {"a b": f"c {PLANTED}"})))}
    for _ in range(draw(st.integers(0, 9))):
        wrap = draw(st.sampled_from(("list", "field", "text")))
        if wrap == "list":
            value = [draw(around), value, draw(around)]
        elif wrap == "field":
            value = {draw(words): draw(around), f"x{draw(words)}": value}
        elif len(json.dumps(value)) < 2_000:
            value = json.dumps(value)
    return value


def login(user: str, password: str = "", **rest: Any) -> None: ...


def chat(content: Any) -> Call:
    messages = [{"role": "system", "content": "be kind"}, {"role": "user", "content": content}]
    return _call_of(question_of(CHAT, {}, json.dumps({"model": "m", "messages": messages}).encode()))


def begun(call: Call, characters: int) -> str | None:
    journal = AttemptJournal(
        Nowhere(), task_id="t", attempt=1, effects=(), may_act=lambda: None, preview_characters=lambda: characters
    )
    return journal.begin(call).preview


@given(planted(), st.sampled_from((1, 40, 200, 2_000)))
def test_a_secret_at_any_place_of_any_request_is_in_no_preview(secret: Any, characters: int):
    text = secret if isinstance(secret, str) else json.dumps(secret)
    calls = [
        calling(EffectKind.STEP, "login", login, (secret,), {}).call,
        calling(EffectKind.TOOL, "login", login, ("me", PLANTED), {"more": secret}).call,
        chat(text),
        chat(
            [
                {"type": "text", "text": "see:"},
                {"type": "text", "text": text},
                {"type": "image_url", "image_url": {"url": PLANTED}},
            ]
        ),
        call_of(EffectKind.CHILD, "c", b"", asked=lambda: {"given": secret}),
    ]
    for call in calls:
        preview = begun(call, characters)
        assert preview is not None
        assert 0 < len(preview) <= characters
        assert PLANTED[:6] not in preview


def test_a_preview_tells_what_was_asked():
    assert begun(chat("how are you?"), 200) == '{"model":"m","text":"how are you?"}'
    step = calling(EffectKind.STEP, "login", login, ("me", "hunter2"), {"times": 3})
    assert begun(step.call, 200) == '{"user":"me","password":"[redacted]","rest":{"times":3}}'
    assert begun(step.call, 12) == '{"user":"me"'
    assert begun(call_of(EffectKind.SLEEP, "5 s", b""), 200) is None


def test_what_cannot_be_told_has_no_preview_and_harms_nothing():
    def breaks() -> Any:
        raise ValueError("no")

    assert begun(call_of(EffectKind.STEP, "s", b"", asked=breaks), 200) is None
    assert begun(chat("a\ud800b".encode("utf-8", "replace").decode() + "\0"), 200) is not None


def test_nothing_is_made_while_previews_are_off(monkeypatch: pytest.MonkeyPatch):
    def never(*_: Any) -> str:
        raise AssertionError("a preview was made")

    monkeypatch.setattr(attempt, "preview_of", never)
    assert begun(call_of(EffectKind.STEP, "s", b"", asked=never), 0) is None
    with pytest.raises(AssertionError, match="a preview was made"):
        begun(call_of(EffectKind.STEP, "s", b"", asked=never), 1)


def test_a_new_value_is_in_force_at_the_next_effect():
    characters = iter((0, 8, 0))
    journal = AttemptJournal(
        Nowhere(), task_id="t", attempt=1, effects=(), may_act=lambda: None, preview_characters=lambda: next(characters)
    )
    assert [journal.begin(chat("hello")).preview for _ in range(3)] == [None, '{"model"', None]
