"""What `dayshift.Client` repeats and what it does not, against a gateway that is commanded."""

import json

import httpx2
import pytest

import dayshift
from dayshift.client import sending
from dayshift.domain.errors import Conflict, DayshiftError, DependencyAway, InvalidInput, NotFound, Refused

TASK = {"id": "task_1", "agent": "a", "status": "queued", "created_at": "2026-11-22T10:00:00Z", "output": None}


class Gateway:
    """Answers in order, the last for ever; an exception is raised."""

    def __init__(self, *answers):
        self.answers = list(answers)
        self.requests = []

    def __call__(self, request):
        self.requests.append(request)
        answer = self.answers.pop(0) if len(self.answers) > 1 else self.answers[0]
        if isinstance(answer, Exception):
            raise answer
        return answer() if callable(answer) else answer


def ok(**fields):
    return httpx2.Response(200, json={**TASK, **fields})


def problem(status, **fields):
    return httpx2.Response(
        status, json={"detail": "no", **fields}, headers={"content-type": "application/problem+json"}
    )


@pytest.fixture
async def client(monkeypatch):
    monkeypatch.setattr(sending, "PAUSE_SECONDS", 0.0)
    async with dayshift.Client("http://gateway.test", "dsk_x") as made:
        yield made


def use(client, *answers):
    gateway = Gateway(*answers)
    client._http._transport = httpx2.MockTransport(gateway)
    return gateway


async def test_a_submit_is_repeated_with_the_same_key_until_it_is_answered(client):
    gateway = use(client, httpx2.ConnectError("refused"), problem(503), problem(429, retry_after=0.01), ok())
    task = await client.submit("a", {"n": 1}, priority=9, metadata={"x": 1})
    assert (task.id, len(gateway.requests)) == ("task_1", 4)
    assert len({request.headers["idempotency-key"] for request in gateway.requests}) == 1
    assert gateway.requests[0].headers["authorization"] == "Bearer dsk_x"
    assert json.loads(gateway.requests[0].content) == {
        "agent": "a",
        "input": {"n": 1},
        "priority": 9,
        "metadata": {"x": 1},
    }
    await client.submit("a", {"n": 1})
    assert gateway.requests[-1].headers["idempotency-key"] != gateway.requests[0].headers["idempotency-key"]


@pytest.mark.parametrize(
    ("answer", "error", "code"),
    [
        (problem(404, code="not_found"), NotFound, "not_found"),
        (problem(409, code="signal_consumed"), Conflict, "signal_consumed"),
        (
            problem(422, code="invalid_input", errors=[{"path": "input.n", "message": "too large"}]),
            InvalidInput,
            "invalid_input",
        ),
        (problem(401, code="unauthorized"), DayshiftError, "unauthorized"),
        (problem(429, code="budget_spent"), Refused, "budget_spent"),
        (problem(429, code="rate_limited", retry_after=3_600), Refused, "rate_limited"),
        (httpx2.Response(200, text="<html>"), DayshiftError, "error"),
    ],
)
async def test_a_refusal_that_waiting_does_not_help_is_told_at_once(client, answer, error, code):
    gateway = use(client, answer)
    with pytest.raises(error) as raised:
        await client.get("task_1")
    assert (raised.value.code, len(gateway.requests)) == (code, 1)


async def test_who_is_away_for_long_is_told_of_after_some_tries(client):
    gateway = use(client, httpx2.ConnectError("refused"))
    with pytest.raises(DependencyAway, match=r"No gateway answers at http://gateway\.test"):
        await client.get("task_1")
    assert len(gateway.requests) == sending.TRIES


async def test_what_might_be_done_twice_is_sent_once(client):
    gateway = use(client, httpx2.ReadError("cut"))
    for sends in (client.retry("task_1"), client.signal("task_1", "go")):
        gateway.requests.clear()
        with pytest.raises(DependencyAway):
            await sends
        assert len(gateway.requests) == 1
    gateway.requests.clear()
    with pytest.raises(DependencyAway):
        await client.signal("task_1", "go/on", {"a": 1}, wait_id="w")
    assert len(gateway.requests) == sending.TRIES
    assert gateway.requests[0].url.raw_path == b"/v1/tasks/task_1/signals/go%2Fon"
    assert json.loads(gateway.requests[0].content) == {"payload": {"a": 1}, "wait_id": "w"}


async def test_a_result_is_polled_for_and_a_failure_is_raised_with_its_task(client):
    gateway = use(client, ok(), ok(status="succeeded", output={"a": 1}))
    assert await client.result("task_1") == {"a": 1}
    assert [request.url.params["wait"] for request in gateway.requests] == ["20", "20"]
    use(client, ok(status="failed", error={"code": "agent_error", "message": "boom", "retryable": True}))
    with pytest.raises(dayshift.TaskFailed, match="boom") as raised:
        await client.result("task_1")
    assert (raised.value.code, raised.value.task.error.message) == ("agent_error", "boom")
    use(client, ok(status="cancelled"))
    with pytest.raises(dayshift.TaskFailed, match="was cancelled"):
        await client.result("task_1")
    use(client, ok())
    with pytest.raises(TimeoutError):
        await client.result("task_1", timeout_seconds=0.05)


def page(*ids, has_more):
    return httpx2.Response(
        200, json={"object": "list", "data": [{**TASK, "id": name} for name in ids], "has_more": has_more}
    )


async def test_lists_are_read_page_by_page_as_they_are_needed(client):
    gateway = use(client, page("3", "2", has_more=True), page("1", has_more=False))
    found = [(task.id, len(gateway.requests)) async for task in client.tasks(status="failed")]
    assert found == [("3", 1), ("2", 1), ("1", 2)]
    assert dict(gateway.requests[1].url.params) == {"status": "failed", "limit": "100", "after": "2"}


def events(*numbered, cut=False):
    text = "".join(f': hi\n\nid: {number}\nevent: {kind}\ndata: {{"n":{number}}}\n\n' for number, kind in numbered)

    async def body():
        yield text.encode()
        if cut:
            raise httpx2.ReadError("cut")

    return httpx2.Response(200, content=body(), headers={"content-type": "text/event-stream"})


async def test_a_stream_that_is_cut_goes_on_where_it_was(client):
    gateway = use(
        client,
        events((1, "task.queued"), (2, "task.started"), cut=True),
        problem(503, retry_after=0.01),
        httpx2.ConnectError("refused"),
        events((5, "agent.event")),
        events((9, "task.succeeded")),
    )
    seen = [(event.id, event.type, event.data["n"]) async for event in client.stream("task_1")]
    assert seen == [(1, "task.queued", 1), (2, "task.started", 2), (5, "agent.event", 5), (9, "task.succeeded", 9)]
    assert [request.headers.get("last-event-id") for request in gateway.requests] == [None, "2", "2", "2", "5"]
    use(client, problem(404, code="not_found"))
    with pytest.raises(NotFound):
        _ = [event async for event in client.stream("task_2")]
    use(client, lambda: events(cut=True))
    with pytest.raises(DependencyAway):
        _ = [event async for event in client.stream("task_3")]


async def test_wrong_use_is_told_before_anything_is_sent(client):
    gateway = use(client, ok())
    with pytest.raises(InvalidInput, match="cannot be sent as JSON"):
        await client.submit("a", object())
    with pytest.raises(InvalidInput, match="no address"):
        dayshift.Client("http://host:port")
    assert not gateway.requests
