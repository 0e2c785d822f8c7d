"""Our answers have the shape of recorded ones: the same keys, the same order of events.

A few recordings lie in data/. The wide test reads all of them from ../shared beside the project, where that is there.
"""

import gzip
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.fakellm.process import FakeProvider, events_of

HERE = Path(__file__).parent
SHARED = HERE.parents[1].parent / "shared" / "data" / "provider_exchanges"
RECORDED = {
    exchange["name"]: exchange
    for exchange in map(json.loads, (HERE / "data" / "recorded.jsonl").read_text().splitlines())
}
PATHS = {
    "https://api.openai.com/v1/chat/completions": "/v1/chat/completions",
    "https://api.openai.com/v1/responses": "/v1/responses",
    "https://api.openai.com/v1/embeddings": "/v1/embeddings",
    "https://api.anthropic.com/v1/messages": "/v1/messages",
}
# Sent by some models or by newer dates only; an answer without them is as true as one with them.
LEFT_OUT = (
    "obfuscation",
    "billing",
    "caller",
    "inference_geo",
    "stop_details",
    "moderation",
    "output_tokens_details.th",
)
# What the caller wrote, echoed or filled in by a model: no shape of the provider's.
FREE_FORM = ("tools[]", ".arguments.", ".input.", "text.format.", "metadata.")


def key_paths(value: Any, at: str = "") -> Iterator[str]:
    if isinstance(value, dict):
        for key, inner in value.items():
            yield f"{at}.{key}"
            yield from key_paths(inner, f"{at}.{key}")
    elif isinstance(value, list):
        for inner in value:
            yield from key_paths(inner, f"{at}[]")


def shape(value: Any) -> set[str]:
    return {path for path in key_paths(value) if not any(part in path for part in (*LEFT_OUT, *FREE_FORM))}


def in_order(events: list[tuple[str, Any]]) -> list[str]:
    """The event names, repeats folded; a ping may come anywhere."""
    names = [name for name, _ in events if name != "ping"]
    return [name for at, name in enumerate(names) if at == 0 or names[at - 1] != name]


def path_of(exchange: dict[str, Any]) -> str | None:
    return PATHS.get(exchange["url"].partition("?")[0])


def play_again(fake: FakeProvider, exchange: dict[str, Any]) -> Any:
    path = path_of(exchange)
    assert path is not None
    answer = fake.http.post(path, json=exchange["request"])
    assert answer.status_code == 200, (exchange["src"], answer.text)
    return answer


@pytest.mark.parametrize("name", RECORDED)
def test_same_keys_and_events_as_recorded(fake, name):
    exchange = RECORDED[name]
    if name.endswith("_tools"):
        response = str(exchange["response"])
        answer = "Let me look." if "text_delta" in response else ""
        tool_calls = [{"name": "look", "arguments": {"city": "Paris"}}] * max(1, response.count('"type":"tool_use"'))
        fake.script({"answer": answer, "tool_calls": tool_calls})
    answer = play_again(fake, exchange)
    recorded = exchange["response"]
    if isinstance(recorded, dict):
        assert answer.headers["content-type"] == "application/json"
        assert shape(recorded) <= shape(answer.json())
        return
    assert answer.headers["content-type"] == exchange["headers"]["content-type"]
    ours, theirs = events_of(answer.text), events_of(recorded)
    assert in_order(ours) == in_order(theirs)
    for kind in {event for event, _ in theirs}:
        their_keys = set().union(*(shape(data) for event, data in theirs if event == kind))
        our_keys = set().union(*(shape(data) for event, data in ours if event == kind))
        assert their_keys <= our_keys, kind
    assert answer.text.endswith("data: [DONE]\n\n") == recorded.endswith("data: [DONE]\n\n")


def test_no_key_that_no_provider_sends_and_none_missing_that_all_send(fake):
    if not SHARED.is_dir():
        pytest.skip("the recorded exchanges lie in ../shared/data/provider_exchanges, which is not here")
    unions: dict[str, set[str]] = {}
    intersections: dict[str, set[str]] = {}
    ours: dict[str, set[str]] = {}
    for exchange in all_exchanges():
        answer = play_again(fake, exchange)
        path = str(path_of(exchange))
        for kind, theirs in shapes_by_kind(path, exchange["response"]):
            unions.setdefault(kind, set()).update(theirs)
            intersections[kind] = intersections.get(kind, theirs) & theirs
        body = answer.json() if answer.headers["content-type"] == "application/json" else answer.text
        for kind, keys in shapes_by_kind(path, body):
            ours.setdefault(kind, set()).update(keys)
    assert len(ours) > 15
    for kind, keys in ours.items():
        assert keys <= unions[kind], f"{kind}: no provider sends {keys - unions[kind]}"
        assert intersections[kind] <= keys, f"{kind}: every provider sends {intersections[kind] - keys}"


def all_exchanges() -> Iterator[dict[str, Any]]:
    for file in sorted(SHARED.glob("*.jsonl.gz")):
        with gzip.open(file, "rt") as lines:
            for exchange in map(json.loads, lines):
                if path_of(exchange) is not None and exchange["status"] == 200:
                    yield exchange


def shapes_by_kind(path: str, response: Any) -> Iterator[tuple[str, set[str]]]:
    if isinstance(response, dict):
        yield path, shape(response)
        return
    for name, data in events_of(response):
        yield f"{path} {name}", shape(data)
