"""Limits per key: what is let in, what a refusal says, and what the official clients make of it."""

import re
import time
from datetime import UTC, datetime
from typing import Any

import anthropic
import openai
import pytest
from hypothesis import given
from hypothesis import strategies as st

from dayshift.fakellm.buckets import Bucket
from dayshift.fakellm.limit_headers import go_duration
from tests.fakellm.process import chat_body

HELLO: Any = [{"role": "user", "content": "Hello there, you."}]


def openai_client(fake, key="none", retries=0) -> openai.OpenAI:
    return openai.OpenAI(base_url=f"{fake.url}/v1", api_key=key, max_retries=retries)


def anthropic_client(fake) -> anthropic.Anthropic:
    return anthropic.Anthropic(base_url=fake.url, api_key="a", max_retries=0)


CALLS = st.lists(st.tuples(st.floats(0, 20), st.floats(0.5, 30)), max_size=60)


@given(rate=st.floats(1, 6000), share_of_depth=st.floats(0.01, 1), calls=CALLS)
def test_a_bucket_never_gives_more_than_its_depth_and_the_refill(rate, share_of_depth, calls):
    depth = max(30.0, rate * share_of_depth)
    bucket = Bucket(rate, depth, 0.0)
    now, taken = 0.0, []
    for pause, amount in calls:
        now += pause
        before = bucket.balance(now)
        wait = bucket.wait_seconds(amount, now)
        if wait == 0:
            bucket.take(amount, now)
            taken.append((now, amount))
        else:
            assert bucket.balance(now) == before, "a refused call costs nothing"
            assert Bucket.wait_seconds(bucket, amount, now + wait) == 0, "who waits as told comes in"
            now += wait
    for first in range(len(taken)):
        for last in range(first, len(taken)):
            window = taken[last][0] - taken[first][0]
            total = sum(amount for _, amount in taken[first : last + 1])
            assert total <= depth + rate / 60 * window + 1e-3


def test_an_amount_above_the_depth_leaves_a_debt_that_the_refill_pays():
    bucket = Bucket(60, 10, 0.0)
    bucket.take(25, 0.0)
    assert bucket.balance(5.0) == -10
    assert bucket.wait_seconds(1, 5.0) == 11


@pytest.mark.parametrize(
    ("seconds", "text"),
    [(0, "0s"), (0.002, "2ms"), (17.399, "17.399s"), (60, "1m0s"), (1252.666, "20m52.666s"), (7200, "2h0m0s")],
)
def test_durations_as_openai_writes_them(seconds, text):
    assert go_duration(seconds) == text


def test_every_answer_says_where_the_key_stands(fake):
    fake.limit({"default": {"requests_per_minute": 30000, "tokens_per_minute": 150_000_000}})
    answer = fake.http.post("/v1/chat/completions", json=chat_body())
    names = {
        f"x-ratelimit-{word}-{kind}" for word in ("limit", "remaining", "reset") for kind in ("requests", "tokens")
    }
    assert names <= set(answer.headers)
    assert answer.headers["x-ratelimit-remaining-requests"] == "29999"
    assert answer.headers["x-ratelimit-reset-requests"] == "2ms"  # as recorded of such an account


def test_openai_requests_limit(fake):
    fake.limit({"default": {"requests_per_minute": 1}})
    with openai_client(fake) as client:
        client.chat.completions.create(model="gpt-5", messages=HELLO)
        with pytest.raises(openai.RateLimitError) as refused:
            client.chat.completions.create(model="gpt-5", messages=HELLO)
    error = refused.value
    assert (error.status_code, error.type, error.code) == (429, "requests", "rate_limit_exceeded")
    assert re.search(r"Limit 1, Used 1, Requested 1\. Please try again in (1m0s|5\d(\.\d+)?s)", error.message)
    assert 1 <= int(error.response.headers["retry-after"]) <= 60
    assert error.response.headers["x-ratelimit-remaining-requests"] == "0"


def test_openai_tokens_are_counted_ahead_and_settled(fake):
    fake.limit({"default": {"tokens_per_minute": 600}})
    fake.script({"output_tokens": 10})
    with openai_client(fake) as client:
        # Five prompt tokens and ten of output; 500 were counted ahead, so a second such call fits only once that is settled.
        for _ in range(3):
            client.chat.completions.create(model="gpt-5", messages=HELLO, max_tokens=500)
        with pytest.raises(openai.RateLimitError) as refused:
            client.chat.completions.create(model="gpt-5", messages=HELLO, max_tokens=590)
        assert (refused.value.type, refused.value.code) == ("tokens", "rate_limit_exceeded")
        with pytest.raises(openai.RateLimitError, match="Request too large for gpt-5") as too_large:
            client.chat.completions.create(model="gpt-5", messages=HELLO, max_tokens=601)
    assert "retry-after" not in too_large.value.response.headers


def test_openai_quota(fake):
    fake.limit({"keys": {"poor": {"quota_tokens": 0}}})
    with openai_client(fake, "poor") as client, pytest.raises(openai.RateLimitError) as refused:
        client.chat.completions.create(model="gpt-5", messages=HELLO)
    assert (refused.value.type, refused.value.code) == ("insufficient_quota", "insufficient_quota")
    with openai_client(fake, "rich") as client:
        client.chat.completions.create(model="gpt-5", messages=HELLO)


def test_the_openai_client_waits_as_told(fake):
    fake.limit({"default": {"requests_per_minute": 120, "burst_seconds": 0.5}})
    with openai_client(fake, retries=1) as client:
        client.chat.completions.create(model="gpt-5", messages=HELLO)
        start = time.monotonic()
        client.chat.completions.create(model="gpt-5", messages=HELLO)
    assert 0.4 < time.monotonic() - start < 5
    [account] = fake.books()["accounts"]
    assert (account["sum"]["requests"], account["sum"]["refused_requests"]) == (2, 1)


def test_anthropic_counts_output_when_it_is_made(fake):
    fake.limit({"default": {"input_tokens_per_minute": 1000, "output_tokens_per_minute": 100}})
    fake.script({"output_tokens": 150})
    with anthropic_client(fake) as client:
        raw = client.messages.with_raw_response.create(model="m", messages=HELLO, max_tokens=4000)
        assert raw.headers["anthropic-ratelimit-output-tokens-remaining"] == "100"
        with pytest.raises(anthropic.RateLimitError) as refused:
            client.messages.create(model="m", messages=HELLO, max_tokens=1)
    error: Any = refused.value.body
    assert (error["type"], error["error"]["type"]) == ("error", "rate_limit_error")
    assert "of 100 output tokens per minute" in error["error"]["message"]
    headers = refused.value.response.headers
    assert 25 <= int(headers["retry-after"]) <= 31
    reset = datetime.fromisoformat(headers["anthropic-ratelimit-output-tokens-reset"])
    assert 60 < (reset - datetime.now(UTC)).total_seconds() < 100


def test_anthropic_can_reserve_max_tokens(fake):
    fake.limit({"default": {"output_tokens_per_minute": 100, "reserves_output": True}})
    fake.script({"output_tokens": 10})
    with anthropic_client(fake) as client:
        raw = client.messages.with_raw_response.create(model="m", messages=HELLO, max_tokens=60)
        assert int(raw.headers["anthropic-ratelimit-output-tokens-remaining"]) in range(40, 50)
        after = client.messages.with_raw_response.create(model="m", messages=HELLO, max_tokens=60)
        assert int(after.headers["anthropic-ratelimit-output-tokens-remaining"]) in range(30, 50)
        with pytest.raises(anthropic.RateLimitError):
            client.messages.create(model="m", messages=HELLO, max_tokens=101)


def test_anthropic_spend_limit(fake):
    fake.limit({"default": {"quota_tokens": 0}})
    with anthropic_client(fake) as client, pytest.raises(anthropic.BadRequestError, match="specified API usage limits"):
        client.messages.create(model="m", messages=HELLO, max_tokens=1)


def test_a_model_with_a_limit_of_its_own_leaves_the_others_alone(fake):
    fake.limit({"default": {"requests_per_minute": 2, "models": {"own": {"requests_per_minute": 1}}}})
    asked = ["own", "own", "a", "b", "a"]
    statuses = [fake.http.post("/v1/chat/completions", json=chat_body() | {"model": m}).status_code for m in asked]
    assert statuses == [200, 429, 200, 200, 429]


def test_open_calls_are_limited_and_a_caller_who_leaves_frees_his_place(fake):
    from tests.fakellm.test_tally import send_raw

    fake.limit({"default": {"concurrent": 1}})
    fake.faults({"contains": "hang", "fault": "hang"})
    hanging = send_raw(fake, chat_body("hang"))
    fake.wait_for_stats(open=1)
    assert fake.http.post("/v1/chat/completions", json=chat_body()).status_code == 429
    hanging.close()
    fake.wait_for_stats(open=0)
    assert fake.http.post("/v1/chat/completions", json=chat_body()).status_code == 200


def test_limits_with_a_mistake_are_refused_with_their_path(fake):
    answer = fake.http.post("/_fake/limits", json={"keys": {"k": {"requests_per_minute": 0}}})
    assert answer.status_code == 422
    assert "keys.k.requests_per_minute" in answer.json()["error"]
