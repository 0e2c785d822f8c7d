"""Embeddings, as the official client and a caller by hand see them."""

import base64
import math
import struct

import openai
import pytest

from tests.fakellm.process import FakeProvider
from tests.fakellm.test_sdks import openai_client

PATH = "/v1/embeddings"
SMALL = "text-embedding-3-small"


def embed(fake: FakeProvider, **body) -> dict:
    answer = fake.http.post(PATH, json={"model": SMALL, "encoding_format": "float", **body})
    assert answer.status_code == 200, answer.text
    return answer.json()


def vectors(answer: dict) -> list[list[float]]:
    return [item["embedding"] for item in answer["data"]]


async def test_the_official_client_asks_for_base64_and_reads_numbers(fake):
    async with openai_client(fake) as client:
        answer = await client.embeddings.create(model=SMALL, input=["one text", "another", "one text"])
        in_numbers = await client.embeddings.create(model=SMALL, input="one text", encoding_format="float")
    first, other, again = (item.embedding for item in answer.data)
    assert [item.index for item in answer.data] == [0, 1, 2]
    assert (len(first), first == again, first == other) == (1_536, True, False)
    assert in_numbers.data[0].embedding == pytest.approx(list(first))
    assert (answer.model, answer.usage.prompt_tokens, answer.usage.total_tokens) == (SMALL, 6, 6)


@pytest.mark.parametrize(
    ("model", "dimensions", "size"),
    [
        (SMALL, None, 1_536),
        (SMALL, 256, 256),
        ("text-embedding-3-large", None, 3_072),
        ("text-embedding-3-large", 3_072, 3_072),
        ("of-my-own", None, 1_536),
    ],
)
def test_a_vector_has_its_dimensions_and_is_of_length_one(fake, model, dimensions, size):
    ((numbers,), (packed,)) = (
        vectors(embed(fake, model=model, input="lease", dimensions=dimensions, encoding_format=encoding))
        for encoding in ("float", "base64")
    )
    assert len(numbers) == size
    assert math.hypot(*numbers) == pytest.approx(1)
    assert list(struct.unpack(f"<{size}f", base64.b64decode(packed))) == numbers


def test_a_shorter_vector_points_where_the_beginning_of_the_long_one_does(fake):
    (long,), (short,) = (vectors(embed(fake, input="lease", dimensions=size)) for size in (None, 64))
    length = math.hypot(*long[:64])
    assert short == pytest.approx([number / length for number in long[:64]], rel=1e-5)


@pytest.mark.parametrize(
    ("given", "tokens"),
    [("lease", 2), (["lease", "lea"], 3), ([15, 16, 17], 3), ([[15, 16, 17], [18]], 4)],
)
def test_texts_and_tokens_alone_or_several(fake, given, tokens):
    answer = embed(fake, input=given)
    assert answer["usage"] == {"prompt_tokens": tokens, "total_tokens": tokens}
    several = isinstance(given, list) and not isinstance(given[0], int)
    assert len(answer["data"]) == (len(given) if several else 1)


@pytest.mark.parametrize(
    ("body", "shown", "param"),
    [
        ({}, "'$.input' is invalid", None),
        ({"input": ""}, "'$.input' is invalid", None),
        ({"input": []}, "'$.input' is invalid", None),
        ({"input": ["a", ""]}, "'$.input' is invalid", None),
        ({"input": ["a", 1]}, "'$.input' is invalid", None),
        ({"input": [True]}, "'$.input' is invalid", None),
        ({"input": {"text": "a"}}, "'$.input' is invalid", None),
        ({"input": "a", "model": ""}, "you must provide a model", "model"),
        ({"input": "a", "encoding_format": "hex"}, "'float' and 'base64'", "encoding_format"),
        ({"input": "a", "dimensions": 0}, "positive integer", "dimensions"),
        ({"input": "a", "dimensions": 1_537}, "less than or equal to 1536", "dimensions"),
        ({"input": "a", "dimensions": 8, "model": "text-embedding-ada-002"}, "does not support", "dimensions"),
        ({"input": ["a"] * 2_049}, "more than 2048", "input"),
        ({"input": ["a", "a" * 4 * 8_192 + "a"]}, "maximum context length is 8192 tokens", None),
        ({"input": ["a" * 4 * 8_000] * 38}, "Requested 304000 tokens, max 300000", None),
    ],
)
def test_what_openai_would_not_take_is_refused_in_its_shape(fake, body, shown, param):
    answer = fake.http.post(PATH, json={"model": SMALL, **body})
    error = answer.json()["error"]
    assert (answer.status_code, error["type"], error["param"]) == (400, "invalid_request_error", param)
    assert shown in error["message"]


async def test_limits_count_the_input_and_nothing_more(fake):
    fake.limit({"default": {"requests_per_minute": 100, "tokens_per_minute": 20, "burst_seconds": 60}})
    async with openai_client(fake) as client:
        raw = await client.embeddings.with_raw_response.create(model=SMALL, input="x" * 40)
        assert raw.headers["x-ratelimit-remaining-tokens"] == "10"
        await client.embeddings.create(model=SMALL, input="x" * 36)
        with pytest.raises(openai.RateLimitError) as refused:
            await client.embeddings.create(model=SMALL, input="x" * 40)
    assert refused.value.code == "rate_limit_exceeded"
    assert int(refused.value.response.headers["retry-after"]) > 0
    (account,) = fake.books()["accounts"]
    assert (account["sum"]["requests"], account["sum"]["input_tokens"], account["sum"]["output_tokens"]) == (2, 19, 0)
    assert account["sum"]["refused_tokens"] == 1


@pytest.mark.parametrize("fault", ["reset", "end_early"])
async def test_an_answer_that_breaks_off_is_not_paid_for(fake, fault):
    fake.faults({"fault": fault, "times": 1})
    async with openai_client(fake) as client:
        with pytest.raises(openai.APIConnectionError):
            await client.embeddings.create(model=SMALL, input="lease")
        assert len((await client.embeddings.create(model=SMALL, input="lease")).data) == 1
    assert fake.wait_for_stats(open=0)["answered"] == 1


@pytest.mark.parametrize(
    ("fault", "shown"),
    [("malformed_json", '{"object":"list","data":[{"'), ("html", "502 Bad Gateway"), ("error_in_200", '{"error":')],
)
def test_faults_spoil_an_embedding_too(fake, fault, shown):
    fake.faults({"fault": fault})
    answer = fake.http.post(PATH, json={"model": SMALL, "input": "lease"})
    assert answer.status_code == 200
    assert shown in answer.text
    assert "usage" not in answer.text


async def test_a_missing_usage_and_a_scripted_error(fake):
    fake.faults(
        {"fault": "missing_usage", "times": 1}, {"status": 503, "contains": "lease", "retry_after": 7, "times": 1}
    )
    assert "usage" not in embed(fake, input="lease")
    async with openai_client(fake) as client:
        with pytest.raises(openai.InternalServerError) as failed:
            await client.embeddings.create(model=SMALL, input=["another", "a lease"])
    assert failed.value.response.headers["retry-after"] == "7"


def test_a_rules_answer_and_its_tokens_say_nothing_of_an_embedding(fake):
    fake.script({"answer": "text", "output_tokens": 400})
    assert embed(fake, input="lease")["usage"] == {"prompt_tokens": 2, "total_tokens": 2}


def test_it_is_never_streamed_and_told_among_the_calls(fake):
    answer = fake.http.post(PATH, json={"model": SMALL, "input": ["one", "lease"], "stream": True})
    assert answer.headers["content-type"] == "application/json"
    (call,) = fake.calls()
    assert (call["path"], call["last_message"], call["n_answered"]) == (PATH, "lease", 1)
