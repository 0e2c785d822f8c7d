"""What providers say of tokens is read from whole answers and from streams, in every dialect that was recorded."""

import gzip
import json
from pathlib import Path

import httpx2
import msgspec
import pytest

from dayshift.domain.effect import CallUsage
from dayshift.llm.formats import CHAT, EMBEDDINGS, MESSAGES, RESPONSES, EventSplitter, Format
from tests.llm.test_recorded_exchanges import ADDRESSES, EXCHANGES

FIRST = '{"type":"message_start","message":{"model":"claude-sonnet-4-5","usage":{"input_tokens":7,"cache_read_input_tokens":100,"output_tokens":1}}}'
LATER = '{"type":"message_delta","delta":{},"usage":{"input_tokens":9,"output_tokens":40}}'


def of_stream(api: Format, *texts: str) -> CallUsage:
    stream = "".join(f"event: {json.loads(text).get('type', 'message')}\ndata: {text}\n\n" for text in texts)
    return api.usage_of_events(list(EventSplitter().feed(stream.encode())))


def of_answer(api: Format, answer: object) -> CallUsage:
    return api.usage_of(msgspec.json.encode(answer))


def told(usage: CallUsage) -> tuple[int, int, int, int, int]:
    return (
        usage.input_tokens,
        usage.output_tokens,
        usage.cached_tokens,
        usage.cache_write_tokens,
        usage.reasoning_tokens,
    )


def test_openai_counts_cached_and_reasoning_tokens_among_the_others():
    usage = of_answer(
        CHAT,
        {
            "model": "gpt-5-2025-08-07",
            "service_tier": "flex",
            "usage": {
                "prompt_tokens": 100,
                "completion_tokens": 50,
                "total_tokens": 150,
                "prompt_tokens_details": {"cached_tokens": 64, "audio_tokens": 3},
                "completion_tokens_details": {"reasoning_tokens": 20},
            },
        },
    )
    assert told(usage) == (100, 50, 64, 0, 20)
    assert (usage.provider, usage.model, usage.service_tier) == ("openai", "gpt-5-2025-08-07", "flex")
    assert usage.others == {"input_audio_tokens": 3}


def test_anthropic_counts_cached_and_written_tokens_beside_the_others():
    said = {"input_tokens": 5, "output_tokens": 3, "cache_read_input_tokens": 100, "cache_creation_input_tokens": 20}
    said["cache_creation"] = {"ephemeral_1h_input_tokens": 20}
    usage = of_answer(MESSAGES, {"model": "claude-sonnet-4-5", "usage": said})
    assert told(usage) == (125, 3, 100, 20, 0)
    assert usage.others == {"cache_write_1h_tokens": 20}


def test_a_later_word_of_a_stream_counts_and_leaves_what_it_does_not_mention():
    assert told(of_stream(MESSAGES, FIRST, LATER)) == (109, 40, 100, 0, 0)
    assert of_stream(MESSAGES, FIRST, LATER).model == "claude-sonnet-4-5"


@pytest.mark.parametrize(
    ("said", "cached"),
    [
        ({"prompt_tokens_details": {"cached_tokens": 8}}, 8),
        ({"prompt_cache_hit_tokens": 7, "prompt_cache_miss_tokens": 3}, 7),
        ({"num_cached_tokens": 6}, 6),
    ],
)
def test_cached_tokens_have_several_names(said, cached):
    assert of_answer(CHAT, {"usage": {"prompt_tokens": 10, **said}}).cached_tokens == cached


def test_reasoning_that_is_counted_beside_the_output_is_added_to_it():
    said = {"prompt_tokens": 10, "completion_tokens": 5, "total_tokens": 35}
    said["completion_tokens_details"] = {"reasoning_tokens": 20}
    assert of_answer(CHAT, {"usage": said}).output_tokens == 25


def test_usage_in_a_corner_of_a_stream_is_found():
    first = '{"model":"llama","choices":[{"delta":{"content":"hello"}}]}'
    last = '{"model":"llama","choices":[],"x_groq":{"usage":{"prompt_tokens":4,"completion_tokens":2}}}'
    assert told(of_stream(CHAT, first, last)) == (4, 2, 0, 0, 0)


def test_a_stream_that_does_not_say_its_usage_is_measured():
    words = [
        '{"model":"gpt-4o","choices":[{"delta":{"role":"assistant","content":""}}],"usage":null}',
        '{"model":"gpt-4o","choices":[{"delta":{"content":"twelve bytes"}}],"usage":null}',
        '{"model":"gpt-4o","choices":[{"delta":{"tool_calls":[{"index":0,"id":"call_1","function":{"arguments":"{\\"a\\":1}"}}]}}]}',
    ]
    usage = of_stream(CHAT, *words)
    assert (told(usage), usage.is_estimated, usage.model) == ((0, 5, 0, 0, 0), True, "gpt-4o")


def test_a_stream_that_was_left_is_measured_where_that_is_more_than_was_said():
    said = '{"type":"content_block_delta","delta":{"type":"text_delta","text":"' + "word " * 40 + '"}}'
    left = of_stream(MESSAGES, FIRST, said)
    assert (told(left), left.is_estimated) == ((107, 50, 100, 0, 0), True)
    whole = of_stream(MESSAGES, FIRST, said, LATER, '{"type":"message_stop"}')
    assert (told(whole), whole.is_estimated) == ((109, 40, 100, 0, 0), False)


@pytest.mark.parametrize("api", [CHAT, RESPONSES, MESSAGES, EMBEDDINGS])
@pytest.mark.parametrize(
    "answer",
    [
        b"",
        b"<html>",
        b"[1]",
        b"\xff\xfe",
        b'{"usage":7}',
        b'{"usage":{"prompt_tokens":"many","input_tokens":-5,"output_tokens":true}}',
        b'{"usage":{"prompt_tokens_details":[1],"input_tokens_details":null,"cost":"free"},"model":7,"service_tier":[]}',
    ],
)
def test_nonsense_is_a_call_without_tokens(api, answer):
    usage = api.usage_of(answer)
    assert told(usage) == (0, 0, 0, 0, 0)
    assert (usage.llm_calls, usage.model, usage.told_usd) == (1, "", None)


def test_an_absurd_count_does_not_pass():
    assert of_answer(CHAT, {"usage": {"prompt_tokens": 2**62, "completion_tokens": 1}}).input_tokens == 10**12


@pytest.mark.skipif(not EXCHANGES.is_dir(), reason="the recorded exchanges lie in ../shared, which is not here")
@pytest.mark.parametrize("name", ["openllmetry.jsonl.gz", "crewai.jsonl.gz", "pydantic-ai.jsonl.gz"])
def test_every_recorded_answer_that_says_its_usage_is_understood(name):
    read = 0
    for exchange in _answered(EXCHANGES / name):
        called = ADDRESSES.call_of(exchange["method"], httpx2.URL(exchange["url"]))
        if called is None:
            continue
        _, api = called
        answer = exchange["response"]
        is_stream = isinstance(answer, str)
        usage = (
            api.usage_of_events(list(EventSplitter().feed(answer.encode())))
            if is_stream
            else api.usage_of(json.dumps(answer).encode())
        )
        totals = _totals(answer)
        if totals is None:
            continue
        read += 1
        assert usage.input_tokens + usage.output_tokens == totals, exchange["src"]
        assert usage.model, exchange["src"]
        assert sum(usage.parts_of_input) == usage.input_tokens
    assert read > 50


def _answered(path: Path):
    with gzip.open(path, "rt") as lines:
        yield from (exchange for line in lines if 200 <= (exchange := json.loads(line))["status"] < 300)


def _totals(answer: object) -> int | None:
    """The sum as the provider itself states it, where it does: OpenAI's dialects have a field for it."""
    texts = [answer] if isinstance(answer, dict) else [_decoded(line) for line in str(answer).splitlines()]
    found = None
    for text in texts:
        for place in (text, text.get("response"), text.get("x_groq")):
            usage = place.get("usage") if isinstance(place, dict) else None
            if isinstance(usage, dict) and "total_tokens" in usage:
                found = usage["total_tokens"]
    return found


def _decoded(line: str) -> dict:
    try:
        found = json.loads(line.removeprefix("data:"))
    except json.JSONDecodeError:
        return {}
    return found if isinstance(found, dict) else {}
