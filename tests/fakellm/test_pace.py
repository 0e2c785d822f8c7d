"""Latencies and the moments of tokens."""

import asyncio
import random
import statistics
import time

import httpx2
import pytest

from dayshift.fakellm.pace import parse_pace, plan_moments
from tests.fakellm.process import chat_body, fake_provider


def draws(text: str) -> list[float]:
    dice = random.Random(7)
    pace = parse_pace(text)
    return [pace.draw(dice) for _ in range(4000)]


def test_distributions():
    assert set(draws("1.5")) == {1.5}
    assert statistics.median(draws("lognormal:0.9,0.4")) == pytest.approx(0.9, rel=0.05)
    uniform = draws("uniform:0.5,1.5")
    assert min(uniform) >= 0.5
    assert max(uniform) <= 1.5
    assert statistics.mean(uniform) == pytest.approx(1.0, rel=0.05)


@pytest.mark.parametrize(
    "text", ["", "soon", "-1", "nan", "inf", "lognormal:1", "lognormal:0,1", "uniform:1", "gamma:1,2", "1,2"]
)
def test_what_is_no_latency_is_refused(text):
    with pytest.raises(ValueError, match="lognormal:MEDIAN,SIGMA"):
        parse_pace(text)


def test_moments():
    def plan(latency, first, rate, tokens):
        moments = plan_moments(
            latency_seconds=latency, first_token_seconds=first, tokens_per_second=rate, output_tokens=tokens
        )
        return moments.first_seconds, moments.last_seconds

    assert plan(1.0, None, None, 10) == (1.0, 1.0)
    assert plan(1.0, 0.2, None, 10) == (0.2, 1.0)
    assert plan(1.0, None, 10, 20) == (1.0, 3.0)
    assert plan(0.0, 0.5, 10, 20) == (0.5, 2.0)
    assert plan(0.0, 0.5, None, 20) == (0.5, 0.5)


def test_a_stream_spreads_its_tokens_and_takes_as_long_as_the_whole():
    flags = ("--latency", "0.3", "--first-token-latency", "0.1", "--answer", "four tokens here")
    with fake_provider(*flags) as fake:
        began = time.monotonic()
        whole = fake.http.post("/v1/chat/completions", json=chat_body())
        whole_seconds = time.monotonic() - began
        assert whole.status_code == 200
        arrivals = []
        began = time.monotonic()
        with fake.http.stream("POST", "/v1/chat/completions", json=chat_body(stream=True)) as stream:
            arrivals = [time.monotonic() - began for line in stream.iter_lines() if '"content":"' in line]
        streamed_seconds = time.monotonic() - began
    assert 0.3 <= whole_seconds < 5
    assert 0.3 <= streamed_seconds < 5
    assert len(arrivals) == 5  # the role chunk comes with the first token
    assert arrivals[1] >= 0.1
    assert arrivals == sorted(arrivals)
    assert arrivals[-1] - arrivals[1] >= 0.15


def test_a_stream_of_one_token_takes_as_long_as_the_whole(fake):
    fake.script({"answer": "Yes"}, latency=0.2, first_token_latency=0)
    began = time.monotonic()
    assert "[DONE]" in fake.http.post("/v1/chat/completions", json=chat_body(stream=True)).text
    assert 0.2 <= time.monotonic() - began < 5


async def test_hundreds_of_calls_of_a_second_overlap(fake):
    """The floor under every benchmark: open calls must not wait for each other."""
    fake.script(latency=1)
    limits = httpx2.Limits(max_connections=50, max_keepalive_connections=50)
    clients = [httpx2.AsyncClient(base_url=fake.url, timeout=60, limits=limits) for _ in range(8)]
    began = time.monotonic()
    answers = await asyncio.gather(
        *(client.post("/v1/chat/completions", json=chat_body(str(at))) for client in clients for at in range(50))
    )
    took_seconds = time.monotonic() - began
    for client in clients:
        await client.aclose()
    assert {answer.status_code for answer in answers} == {200}
    assert took_seconds < 20
    assert fake.stats()["answered"] == 400
