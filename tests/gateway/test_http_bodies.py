import json

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from requests_by_hand import request

from dayshift.domain.clock import monotonic_seconds
from dayshift.domain.errors import InvalidInput
from dayshift.gateway.batches import batch_outline
from dayshift.gateway.bodies import MAX_DEPTH, checked_json, read_json
from dayshift.gateway.problems import HttpError

NOT_ACCEPTED = [
    (b"", "invalid_json", "empty"),
    (b"   ", "invalid_json", "not JSON"),
    (b"{", "invalid_json", "line 1"),
    (b"{'a': 1}", "invalid_json", "not JSON"),
    (b'{"a": 1} x', "invalid_json", "not JSON"),
    (b'{"a": 01}', "invalid_json", "not JSON"),
    (b'{"a": NaN}', "invalid_json", "NaN"),
    (b'{"a": -Infinity}', "invalid_json", "Infinity"),
    (b'\xef\xbb\xbf{"a": 1}', "invalid_json", ""),
    (b'{"a": "\xff"}', "invalid_json", "UTF-8"),
    (b'{"a": "\xed\xa0\x80"}', "invalid_json", "UTF-8"),
    (b'{"a": "\x00"}', "invalid_json", "not JSON"),
    (b'{"a": 1e400}', "number_out_of_range", "1e400"),
    (b'{"a": [-1e999999999]}', "number_out_of_range", "range"),
    (b'{"a": 1' + b"0" * 5000 + b"}", "number_out_of_range", "digits"),
    (b'{"a": 1, "a": 2}', "duplicate_name", "'a'"),
    (b'{"a": {"b": [{"c": 1, "c": 1}]}}', "duplicate_name", "'c'"),
    (b'{"a": "\\ud800"}', "lone_surrogate", "surrogate"),
    (b'{"a": "x\\uDFFFy"}', "lone_surrogate", "a"),
    (b'{"\\ud800": 1}', "lone_surrogate", "surrogate"),
    (b'{"a": ' + b"[" * 101 + b"]" * 101 + b"}", "too_deep", "deeper"),
    (b'{"a": ' * 50_000 + b"1" + b"}" * 50_000, "too_deep", "deeper"),
    (b"[" * 900_000, "too_deep", "deeper"),
]


@pytest.mark.parametrize(("raw", "code", "said"), NOT_ACCEPTED, ids=lambda value: repr(value)[:40])
def test_what_is_not_kept_as_json_says_why(raw, code, said):
    with pytest.raises(HttpError) as caught:
        checked_json(raw)
    assert caught.value.status == 400
    assert said in caught.value.message
    assert caught.value.code == code


def test_a_nul_character_is_refused_with_its_path():
    with pytest.raises(InvalidInput) as caught:
        checked_json(b'{"input": {"lines": ["a", "b\\u0000"]}}')
    assert caught.value.code == "nul_character"
    assert caught.value.errors[0].path == "input.lines[1]"


@pytest.mark.parametrize(
    "raw",
    [
        b"{}",
        b'{"emoji": "\\ud83d\\ude00"}',
        b'{"written out": "\\\\u0000 and \\\\ud800"}',
        b'{"brackets": "' + b"[{" * 500 + b'"}',
        b'{"wide": [' + b"[]," * 5000 + b"[]]}",
        b'{"big": 123456789012345678901234567890, "small": 1e-400, "minus": -0.0}',
        b'{"deep": ' + b"[" * (MAX_DEPTH - 1) + b"]" * (MAX_DEPTH - 1) + b"}",
    ],
)
def test_what_json_allows_comes_back_as_it_came(raw):
    assert checked_json(raw) == raw


values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text(),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(), inner, max_size=4),
    max_leaves=20,
)


@given(values, st.booleans())
@settings(max_examples=150, deadline=None)
def test_every_value_is_kept_or_refused_for_a_reason_that_it_has(value, ascii_only):
    text = json.dumps(value, ensure_ascii=ascii_only)
    is_whole = text.encode("utf-8", "replace").decode() == text and all(
        not 0xD800 <= ord(character) <= 0xDFFF for character in json.dumps(value, ensure_ascii=False)
    )
    try:
        kept = checked_json(text.encode("utf-8", "surrogatepass"))
    except (HttpError, InvalidInput) as error:
        assert error.code == "nul_character" if is_whole else True  # noqa: PT017 - both outcomes are right
    else:
        assert json.loads(kept) == value


@given(st.binary(max_size=200))
@settings(max_examples=200, deadline=None)
def test_any_bytes_are_an_answer_and_never_a_crash(raw):
    try:
        checked_json(raw)
    except (HttpError, InvalidInput):
        return
    json.loads(raw)


async def test_an_announced_length_is_refused_before_the_body_is_read():
    asked = request(headers={"content-length": "2000"}, body=b"x" * 2000)
    with pytest.raises(HttpError) as caught:
        await read_json(asked, 1000)
    assert caught.value.status == 413
    assert (await asked.receive())["type"] == "http.request"  # nothing was read


async def test_a_length_that_is_not_announced_is_refused_when_it_is_reached():
    parts = [b"x" * 600] * 5
    asked = request(body=parts)
    with pytest.raises(HttpError) as caught:
        await read_json(asked, 1000)
    assert caught.value.status == 413
    assert (b"connection", b"close") in caught.value.headers
    assert (await asked.receive()).get("more_body") is True  # the rest was left alone


async def test_a_body_in_parts_is_put_together():
    assert await read_json(request(body=[b'{"a"', b": ", b"1}"]), 1000) == b'{"a": 1}'


@pytest.mark.parametrize(
    "headers",
    [
        {"content-type": "text/plain"},
        {"content-type": "application/x-www-form-urlencoded"},
        {"content-type": "multipart/form-data; boundary=x"},
        {"content-type": "application/json", "content-encoding": "gzip"},
    ],
)
async def test_other_media_types_are_refused(headers):
    with pytest.raises(HttpError) as caught:
        await read_json(request(headers=headers, body=b"{}"), 1000)
    assert caught.value.status == 415


@pytest.mark.parametrize("media_type", ["application/json", "Application/JSON; charset=utf-8", None])
async def test_json_and_nothing_said_are_read(media_type):
    headers = {} if media_type is None else {"content-type": media_type}
    assert await read_json(request(headers=headers, body=b"{}"), 1000) == b"{}"


GOOD = b'{"a": "x, [y] {z} \\" ]"}'


@pytest.mark.parametrize("bad", [b'{"a": "\\ud800"}', b"[" * 5000 + b"]" * 5000, b'{"a": NaN, "b": [1, 2]}', b"", b"}"])
def test_a_batch_is_cut_apart_around_an_item_that_cannot_be_read(bad):
    assert batch_outline(b' {"tasks" : [' + GOOD + b", " + bad + b" ,\n" + GOOD + b"] } ") == [GOOD, bad, GOOD]


@pytest.mark.parametrize("raw", [b"", b'{"tasks": [', b'{"tasks": [NaN]', b'{"tasks": ["\\ud800]}', b"\xff"])
def test_what_has_no_outline_is_refused_whole(raw):
    with pytest.raises(HttpError) as caught:
        batch_outline(raw)
    assert caught.value.status == 400


@pytest.mark.parametrize("raw", [b'"' + b'\\"' * 200_000, b'{"tasks": [' + b'"' * 400_001, b'"' + b"a" * 500_000])
def test_no_body_takes_long_to_be_refused(raw):
    begun = monotonic_seconds()
    for read in (checked_json, batch_outline):
        with pytest.raises(HttpError):
            read(raw + b"[" * 200)
    assert monotonic_seconds() - begun < 2
