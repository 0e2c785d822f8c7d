"""What a task's stream becomes for OpenAI's clients, and which numbers that has: without a server."""

from datetime import UTC, datetime, timedelta
from itertools import pairwise

import msgspec
from hypothesis import given
from hypothesis import strategies as st

from dayshift.domain.stream import StreamEvent
from dayshift.domain.task import Notice, Status, Task, TaskError, WaitingFor
from dayshift.gateway.responses.events import Narrator
from dayshift.gateway.responses.fitting import fitted
from dayshift.gateway.responses.numbers import MOST_COUNTED, Numbers
from dayshift.gateway.responses.views import input_items, view_of
from dayshift.tasks import events

BEGAN = datetime(2026, 11, 23, 12, tzinfo=UTC)
BEGAN_US = int(BEGAN.timestamp() * 1_000_000)


def a_task(status=Status.QUEUED, **fields):
    ended = BEGAN + timedelta(seconds=9) if status in (Status.SUCCEEDED, Status.FAILED, Status.CANCELLED) else None
    return Task(
        **{
            "id": "task_677efb51-39a8-8190-b512-bc3fef8e535d",
            "agent": "a",
            "status": status,
            "tenant": "acme",
            "queue": "default",
            "input": msgspec.Raw(b'{"question": "Why?"}'),
            "created_at": BEGAN,
            "run_at": BEGAN,
            "finished_at": ended,
        }
        | fields
    )


TASK = a_task()
NAME = TASK.id
QUEUED = events.queued(NAME, 0, "default")
STARTED = events.started(NAME, 1, "worker_1", None)
RETRYING = events.retrying(NAME, 1, TaskError("agent_error", "no"), BEGAN)
WAITING = events.waiting(NAME, 1, WaitingFor("time", "", "1"), Notice("slow", "soon"))
SNAPSHOT = events.snapshot(a_task(Status.RUNNING))
FAILED = events.final(a_task(Status.FAILED, error=TaskError("fatal", "no")))
CANCELLED = events.final(a_task(Status.CANCELLED))


def delta(text, call="c1"):
    return events.build(NAME, 1, "llm.delta", call=call, text=text)


def restarted(call="c1"):
    return events.build(NAME, 2, "llm.restarted", call=call)


def succeeded(output):
    return events.final(a_task(Status.SUCCEEDED, output=msgspec.Raw(msgspec.json.encode(output))))


def stream(*appends):
    return [
        StreamEvent(BEGAN_US + 1_000 * number, append.type, append.data) for number, append in enumerate(appends, 1)
    ]


def read(source):
    """What a reader is told, with the numbers."""
    narrator, numbers = Narrator(TASK), Numbers()
    told = []
    for event in source:
        news = msgspec.to_builtins(narrator.tell(event))
        told += zip(numbers.of(event, len(news)), news, strict=True)
    return told


def kinds(*appends):
    return [one["type"].removeprefix("response.") for _, one in read(stream(*appends))]


BEGINNING = ["created", "queued", "in_progress"]
NEW_LINE = ["output_item.added", "content_part.added"]
LINE_ENDS = ["output_text.done", "content_part.done", "output_item.done"]


def test_an_agent_that_streams_nothing_is_told_at_its_end():
    told = kinds(QUEUED, STARTED, RETRYING, WAITING, STARTED, succeeded("Yes"))
    assert told == [*BEGINNING, *NEW_LINE, "output_text.delta", *LINE_ENDS, "completed"]
    assert kinds(QUEUED, STARTED, succeeded(None)) == [*BEGINNING, *NEW_LINE, *LINE_ENDS, "completed"]


def test_a_call_that_begins_anew_gets_another_line():
    told = [one for _, one in read(stream(QUEUED, STARTED, delta("Ye"), restarted(), delta("Y"), succeeded("Yes")))]
    items = [one["item"] for one in told if one["type"] == "response.output_item.done"]
    assert [(item["status"], item["content"][0]["text"]) for item in items] == [
        ("incomplete", "Ye"),
        ("completed", "Yes"),
    ]
    assert items[1]["id"].endswith("_1")
    assert told[-1]["response"]["output"] == [items[1]]


def test_calls_side_by_side_have_lines_of_their_own():
    appends = [QUEUED, STARTED, delta("a", "1"), delta("b", "2"), delta("a", "1"), delta("b", "2"), succeeded("bb")]
    told = [one for _, one in read(stream(*appends))]
    done = {one["output_index"]: one["text"] for one in told if one["type"] == "response.output_text.done"}
    assert done == {0: "aa", 1: "bb"}
    phases = {one["output_index"]: one["item"]["phase"] for one in told if one["type"] == "response.output_item.done"}
    assert phases == {0: "commentary", 1: "final_answer"}


def test_a_dead_letter_that_is_retried_ends_once_more():
    told = kinds(QUEUED, STARTED, FAILED, QUEUED, STARTED, CANCELLED)
    assert told == [*BEGINNING, "failed", "queued", "in_progress", "incomplete"]


def test_numbers_are_counted_as_long_as_the_beginning_is_there():
    whole = read(stream(QUEUED, STARTED, *[delta("x")] * 20, succeeded("x" * 20)))
    assert [number for number, _ in whole] == list(range(len(whole)))


def test_numbers_go_on_after_the_plane_was_lost():
    before = stream(QUEUED, STARTED, delta("Ye"))
    after = stream(QUEUED, STARTED, delta("Ye"), SNAPSHOT, delta("s"), succeeded("Yes"))[3:]
    who_was_there = read([*before, *after])
    who_comes_now = read(after)
    highest_counted = read(before)[-1][0]
    assert min(number for number, _ in who_comes_now) > highest_counted
    seen_by_both = {number for number, _ in who_was_there} & {number for number, _ in who_comes_now}
    assert len(seen_by_both) >= 5  # a reader knows more of the line, the other begins it; where both speak they agree
    assert all(number < 1 << 53 for number, _ in who_was_there)


def test_an_end_that_the_ledger_tells_has_the_same_number_everywhere():
    final = succeeded("Yes")
    told = [read([StreamEvent(BEGAN_US + moment, final.type, final.data)]) for moment in (10_000_000, 77_000_000)]
    assert told[0] == told[1]


@given(st.lists(st.sampled_from("abr"), max_size=30), st.integers(0, 40), st.integers(0, 12))
def test_whoever_comes_back_is_given_the_rest(calls, cut, before):
    """Of any stream, wherever it was left off, also one over the counted thousand."""
    said = [restarted("a") if call == "r" else delta(call, call) for call in calls]
    long = [delta("z", "z")] * (MOST_COUNTED - before) if before > 6 else []
    source = stream(QUEUED, STARTED, *long, *said, succeeded("end"))
    whole = read(source)
    numbers = [number for number, _ in whole]
    assert all(one < other for one, other in pairwise(numbers))
    last_seen = numbers[min(cut, len(numbers) - 1)]
    assert [one for one in read(source) if one[0] > last_seen] == whole[numbers.index(last_seen) + 1 :]


def test_a_task_of_another_door_is_a_response_too():
    view = msgspec.to_builtins(view_of(a_task(metadata=msgspec.Raw(b'{"a": 1, "dayshift.responses": 7}'))))
    assert (view["id"], view["metadata"], view["store"]) == ("resp_677efb5139a88190b512bc3fef8e535d", {"a": "1"}, True)
    [item] = input_items(TASK)
    assert (item["role"], item["content"]) == ("user", [{"type": "input_text", "text": "Why?"}])
    assert input_items(a_task(input=msgspec.Raw(b'{"a": 1, "b": 2}')))[0]["content"][0]["text"] == '{"a": 1, "b": 2}'


def schema(*required, **properties):
    return msgspec.json.encode({"type": "object", "properties": properties, "required": required, "$defs": DEFS})


DEFS = {"Order": {"type": "object", "properties": {"id": {"type": "integer"}}}}
TEXT, LIST, NUMBER = {"type": "string"}, {"type": "array"}, {"type": "number"}
ITEMS = [{"role": "user", "content": "1"}, {"role": "assistant", "content": "2"}, {"role": "user", "content": "3"}]


def test_an_agent_is_given_what_its_parameters_take():
    assert fitted(schema(question=TEXT, temperature=NUMBER), {"input": "x", "temperature": 1, "top_p": 1}) == {
        "question": "x",
        "temperature": 1,
    }
    assert fitted(schema(tone=TEXT, input=TEXT), {"input": ITEMS, "tone": "kind"}) == {"input": "3", "tone": "kind"}
    assert fitted(schema(messages=LIST), {"input": ITEMS}) == {"messages": ITEMS}
    assert fitted(schema(messages=LIST), {"input": "x"})["messages"][0]["content"] == "x"
    assert fitted(schema(input={"anyOf": [TEXT, LIST]}), {"input": ITEMS}) == {"input": ITEMS}
    assert fitted(schema(input={}), {"input": ITEMS}) == {"input": ITEMS}
    assert fitted(schema(order={"$ref": "#/$defs/Order"}), {"input": '{"id": 7}'}) == {"order": {"id": 7}}
    assert fitted(schema(a=NUMBER, b=NUMBER), {"input": '{"a": 1, "b": 2}'}) == {"a": 1, "b": 2}
    assert fitted(schema(text=TEXT), {"input": "x", "text": {"format": {"type": "text"}}}) == {"text": "x"}
    assert fitted(schema("input", input=TEXT), {}) == {"input": ""}
    assert fitted(schema(input=TEXT), {}) == {}
    assert fitted(schema(), {"input": "x"}) == {}
