"""What each answer of a provider means, as the reference page says it."""

import gzip
import json
import math
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime

import httpx
import httpx2
import pytest
from hypothesis import given
from hypothesis import strategies as st

from dayshift.domain import clock
from dayshift.llm.formats import EventSplitter
from dayshift.llm.formats import format as format_module
from dayshift.llm.verdicts import BY_ERROR, OK, is_stream, verdict_of, verdict_of_error, verdict_of_event
from dayshift.llm.waits_told import LONGEST_SECONDS, wait_told
from tests.llm import provider_answers as known
from tests.llm.test_recorded_exchanges import ADDRESSES, EXCHANGES, body_of

CASES = [case for cases in known.SECTIONS.values() for case in cases()]


def test_the_page_says_what_the_code_does():
    assert known.PAGE.read_text() == known.page(), "write it again: python -m tests.llm.provider_answers"


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.words)
def test_a_kind_of_answer_means_the_same_in_every_format(case):
    assert case.verdicts
    assert len({str(verdict) for verdict in case.verdicts}) == 1


def test_only_what_is_the_providers_fault_counts_for_its_breaker():
    for case in CASES:
        for verdict in case.verdicts:
            assert not verdict.counts_for_breaker or verdict.kind in ("retry", "final")
            assert verdict.kind != "limit" or verdict.failed is None
    for status in range(400, 500):
        assert not verdict_of(known.CHAT, status, {}, b"").counts_for_breaker


@pytest.mark.parametrize(("api", "event"), list(known.silent_events()))
def test_what_only_opens_a_stream_says_nothing(api, event):
    assert verdict_of_event(api, event) is None


@pytest.mark.parametrize("library", [httpx, httpx2], ids=lambda library: library.__name__)
def test_every_transport_error_of_both_libraries_is_known(library):
    kinds = [
        kind for kind in vars(library).values() if isinstance(kind, type) and issubclass(kind, library.RequestError)
    ]
    assert len(kinds) > 15
    for kind in kinds:
        assert kind is library.RequestError or any(base.__name__ in BY_ERROR for base in kind.__mro__), kind


def test_errors_of_our_own_are_final_and_say_nothing_of_the_provider():
    verdict = verdict_of_error(ValueError("no"))
    assert (verdict.kind, verdict.failed) == ("final", None)


@pytest.mark.parametrize(
    ("headers", "words", "seconds"),
    [
        ({"retry-after": "20"}, "", 20),
        ({"retry-after": "0.5"}, "", 0.5),
        ({"retry-after-ms": "1500", "retry-after": "2"}, "", 1.5),
        ({"retry-after": "31536000"}, "", LONGEST_SECONDS),
        ({"retry-after": "1e400"}, "", LONGEST_SECONDS),
        ({"retry-after": "-1"}, "", None),
        ({"retry-after": "nan"}, "", None),
        ({"retry-after": "soon"}, "", None),
        ({"retry-after": "Sun, 06 Nov 1994 08:49:37 GMT"}, "", 0),
        ({"retry-after": "Fri, 31 Dec 9999 23:59:59 GMT"}, "", LONGEST_SECONDS),
        ({"retry-after": "Fri, 99 Foo 10000 99:59:59"}, "", None),
        ({}, "Rate limit reached. Please try again in 1m30.5s. Visit", 90.5),
        ({}, "Please try again in 120ms.", 0.12),
        ({}, "Please retry after 86400 seconds.", LONGEST_SECONDS),
        ({"retry-after": "3"}, "Please try again in 120ms.", 3),
        ({}, "no", None),
    ],
)
def test_a_wish_to_wait_is_read_and_bounded(headers, words, seconds):
    assert wait_told(headers, words) == (None if seconds is None else pytest.approx(seconds))


def test_a_date_is_counted_from_the_providers_own_clock():
    its_now = datetime(2020, 1, 1, tzinfo=UTC)
    headers = {"date": format_datetime(its_now), "retry-after": format_datetime(its_now + timedelta(seconds=40))}
    assert wait_told(headers) == 40
    ours = {"retry-after": format_datetime(clock.now() + timedelta(seconds=40))}
    assert 35 < (wait_told(ours) or 0) <= 40


@given(st.text(), st.text())
def test_no_header_and_no_word_breaks_it(value, words):
    for name in ("retry-after", "retry-after-ms"):
        found = wait_told({name: value}, words)
        assert found is None or (0 <= found <= LONGEST_SECONDS and not math.isnan(found))


@pytest.mark.parametrize(
    "case", [case for case in known.answers() if "MiB" not in case.words], ids=lambda case: case.words
)
def test_a_long_answer_means_what_a_short_one_does(case, monkeypatch):
    monkeypatch.setattr(format_module, "LONG_BYTES", 0)
    again = next(one for one in known.answers() if one.words == case.words)
    assert again.verdicts == case.verdicts


json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(
            st.sampled_from(["error", "type", "code", "details", "error_code", "message", "response"]), inner
        )
    ),
)


@given(st.sampled_from(known.ALL), st.integers(100, 999), json_values)
def test_no_body_breaks_it(api, status, value):
    verdict = verdict_of(api, status, {"content-type": "application/json"}, json.dumps(value).encode())
    assert verdict.kind != "ok"


@given(st.sampled_from(known.STREAMED), st.binary())
def test_no_stream_breaks_it(api, received):
    for event in EventSplitter().feed(received + b"\n\n"):
        verdict = verdict_of_event(api, event)
        assert verdict is None or verdict.reason in ("ok", "malformed")


@pytest.mark.skipif(not EXCHANGES.is_dir(), reason="the recorded exchanges lie in ../shared, which is not here")
@pytest.mark.parametrize("name", ["openllmetry.jsonl.gz", "crewai.jsonl.gz", "pydantic-ai.jsonl.gz"])
def test_what_real_providers_answered_is_ok_and_what_they_refused_is_final(name):
    judged = 0
    with gzip.open(EXCHANGES / name, "rt") as lines:
        for line in lines:
            exchange = json.loads(line)
            called = ADDRESSES.call_of(exchange["method"], httpx2.URL(exchange["url"]))
            api = called and called[1]
            if api is not None:
                judged += 1
                verdict = _verdict_of_recorded(api, exchange)
                assert verdict.kind == ("ok" if exchange["status"] == 200 else "final"), (exchange["src"], verdict)
    assert judged > 50


def _verdict_of_recorded(api, exchange):
    headers = {name: str(value) for name, value in exchange["headers"].items()}
    body = body_of(exchange["response"])
    if not is_stream(exchange["status"], headers):
        return verdict_of(api, exchange["status"], headers, body)
    verdicts = [verdict_of_event(api, event) for event in EventSplitter().feed(body)]
    return next((verdict for verdict in verdicts if verdict is not None), OK)
