"""Bad input: each with its status and code, as a problem, and nothing half done."""

import asyncio
import json

import pytest

pytestmark = pytest.mark.asyncio(loop_scope="module")

JSON = {"content-type": "application/json"}
GOOD = {"agent": "echo", "input": {"text": "hello"}}
NO_TASK = "task_0190163d-8694-739b-aea5-966c26f8ad91"


def body(**changes):
    return json.dumps({**GOOD, **changes}).encode()


SUBMISSIONS = [
    ("not JSON", b"hello", 400, "invalid_json"),
    ("empty", b"", 400, "invalid_json"),
    ("not UTF-8", b'{"agent": "\xff", "input": {}}', 400, "invalid_json"),
    ("1e400", b'{"agent": "echo", "input": {"text": "x", "n": 1e400}}', 400, "number_out_of_range"),
    ("NaN", b'{"agent": "echo", "input": {"text": "x", "n": NaN}}', 400, "invalid_json"),
    ("deep nesting", b'{"agent": "echo", "input": ' + b"[" * 100_000 + b"]" * 100_000 + b"}", 400, "too_deep"),
    ("lone surrogate", b'{"agent": "echo", "input": {"text": "\\ud800"}}', 400, "lone_surrogate"),
    ("NUL", b'{"agent": "echo", "input": {"text": "\\u0000"}}', 422, "nul_character"),
    ("NUL in a name", b'{"agent": "ec\\u0000ho", "input": {"text": "x"}}', 422, "nul_character"),
    ("duplicate name", b'{"agent": "echo", "agent": "echo", "input": {"text": "x"}}', 400, "duplicate_name"),
    ("2 MiB", body(input={"text": "x" * (2 << 20)}), 413, "body_too_large"),
    ("an array", b"[]", 422, "invalid_input"),
    ("a number", b"1", 422, "invalid_input"),
    ("null", b"null", 422, "invalid_input"),
    ("no agent", b'{"input": {}}', 422, "invalid_input"),
    ("unknown field", body(surprise=1), 422, "invalid_input"),
    ("unknown agent", body(agent="nobody"), 422, "unknown_agent"),
    ("agent of a wrong type", body(agent=7), 422, "invalid_input"),
    ("empty agent", body(agent=""), 422, None),
    ("input against the schema", body(input={"text": 1}), 422, "invalid_input"),
    ("input lacks a field", body(input={}), 422, "invalid_input"),
    ("priority too high", body(priority=10), 422, "invalid_input"),
    ("priority negative", body(priority=-1), 422, "invalid_input"),
    ("priority of text", body(priority="5"), 422, "invalid_input"),
    ("priority of half", body(priority=5.5), 422, "invalid_input"),
    ("negative delay", body(delay=-1), 422, "invalid_input"),
    ("huge delay", body(delay=1e300), 422, "invalid_input"),
    ("zero timeout", body(timeout=0), 422, "invalid_input"),
    ("negative timeout", body(timeout=-5), 422, "invalid_input"),
    ("run_at that is no time", body(run_at="tomorrow"), 422, "invalid_input"),
    ("run_at without zone", body(run_at="2026-01-01T00:00:00"), 422, "invalid_input"),
    ("run_at and delay", body(run_at="2026-12-01T00:00:00Z", delay=1), 422, "invalid_input"),
    ("expired already", body(expires_at="2020-01-01T00:00:00Z"), 422, "invalid_input"),
    ("metadata of a list", body(metadata=[1]), 422, "invalid_input"),
    ("long conversation", body(conversation="c" * 10_000), 422, "invalid_input"),
    ("empty user", body(user=""), 422, "invalid_input"),
    ("unknown on_busy", body(on_busy="explode"), 422, "invalid_input"),
    ("a key in the body", body(idempotency_key="k"), 422, "invalid_input"),
]


@pytest.mark.parametrize(("what", "sent", "status", "code"), SUBMISSIONS, ids=[row[0] for row in SUBMISSIONS])
async def test_a_bad_submission_is_a_problem_and_nothing_more(http, what, sent, status, code):
    answer = await http.post("/v1/tasks", content=sent, headers=JSON)
    check_problem(answer, status, code)
    assert (await http.get("/v1/tasks")).json()["data"] == []


REQUESTS = [
    ("POST /v1/tasks", {"content-type": "text/plain"}, 415, "unsupported_media_type"),
    ("POST /v1/tasks", {**JSON, "content-encoding": "gzip"}, 415, "unsupported_content_encoding"),
    ("POST /v1/tasks", {**JSON, "idempotency-key": "k" * 256}, 400, "invalid_header"),
    ("POST /v1/tasks", {**JSON, "idempotency-key": ""}, 400, "invalid_header"),
    ("POST /v1/tasks", {**JSON, "prefer": "wait=-1"}, 400, "invalid_header"),
    ("POST /v1/tasks", {**JSON, "prefer": "wait=soon"}, 400, "invalid_header"),
    ("GET /v1/tasks?limit=0", {}, 422, "invalid_query"),
    ("GET /v1/tasks?limit=101", {}, 422, "invalid_query"),
    ("GET /v1/tasks?limit=ten", {}, 422, "invalid_query"),
    ("GET /v1/tasks?limit=1&limit=2", {}, 422, "invalid_query"),
    ("GET /v1/tasks?after=x", {}, 422, "invalid_query"),
    ("GET /v1/tasks?status=lost", {}, 422, "invalid_query"),
    ("GET /v1/tasks?colour=red", {}, 422, "invalid_query"),
    ("GET /v1/tasks?user=%00", {}, 422, "invalid_query"),
    ("GET /v1/tasks?status=null", {}, 422, "invalid_query"),
    ("GET /v1/tasks/task_x", {}, 404, "not_found"),
    ("GET /v1/tasks/%00", {}, 404, "no_such_path"),
    ("GET /v1/tasks/" + "x" * 5000, {}, 404, "not_found"),
    (f"GET /v1/tasks/{NO_TASK}", {}, 404, "not_found"),
    (f"GET /v1/tasks/{NO_TASK.upper()}", {}, 404, "not_found"),
    (f"GET /v1/tasks/{NO_TASK}?wait=-1", {}, 422, "invalid_query"),
    (f"GET /v1/tasks/{NO_TASK}?wait=nan", {}, 422, "invalid_query"),
    (f"GET /v1/tasks/{NO_TASK}?wait=5", {}, 404, "not_found"),
    (f"GET /v1/tasks/{NO_TASK}/events", {}, 404, "not_found"),
    (f"GET /v1/tasks/{NO_TASK}/events?after=-1", {}, 422, "invalid_query"),
    (f"GET /v1/tasks/{NO_TASK}/events", {"last-event-id": "x"}, 400, "invalid_header"),
    (f"POST /v1/tasks/{NO_TASK}/cancel", {}, 404, None),
    (f"POST /v1/tasks/{NO_TASK}/retry", {}, 404, None),
    (f"DELETE /v1/tasks/{NO_TASK}", {}, 404, None),
    ("DELETE /v1/keys/key_x", {}, 404, "not_found"),
    ("GET /v1/nothing", {}, 404, "no_such_path"),
    ("GET /v1/tasks/", {}, 404, "no_such_path"),
    ("GET /v1/tasks/%2e%2e/keys", {}, 404, "no_such_path"),
    (f"POST /v1/tasks/{NO_TASK}/signals/go", {}, 422, "invalid_input"),
    (f"GET /v1/tasks/{NO_TASK}/effects", {}, 404, "not_found"),
    ("GET /v1/plans", {}, 404, "no_such_path"),
]


@pytest.mark.parametrize(
    ("asked", "headers", "status", "code"),
    REQUESTS,
    ids=[f"{row[0][:40]} {row[3]}" for row in REQUESTS],
)
async def test_a_bad_request_is_a_problem(http, asked, headers, status, code):
    method, path = asked.split()
    content = body() if method == "POST" else None
    check_problem(await http.request(method, path, headers=headers, content=content), status, code)


@pytest.mark.parametrize(
    ("asked", "sent", "path", "choices"),
    [
        ("POST /v1/tasks", {**GOOD, "on_busy": "explode"}, "on_busy", ("enqueue", "interrupt", "reject")),
        ("POST /v1/tasks/batch", {"tasks": [{**GOOD, "on_busy": "x"}]}, "tasks[0].on_busy", ("enqueue", "reject")),
        ("POST /v1/keys", {"tenant": "a", "scopes": ["read", "write"]}, "scopes[1]", ("admin", "read", "submit")),
        ("GET /v1/tasks?status=lost", None, "status", ("queued", "running", "waiting", "succeeded", "cancelled")),
        ("GET /v1/conversations/c?order=up", None, "order", ("asc", "desc")),
    ],
)
async def test_of_a_value_that_is_none_of_a_few_the_few_are_told(http, asked, sent, path, choices):
    method, where = asked.split()
    answer = (await http.request(method, where, json=sent)).json()
    error = (answer if "errors" in answer else answer["data"][0])["errors"][0]
    assert error["path"] == path
    assert all(f'"{choice}"' in error["message"] for choice in choices)
    assert " - at " not in error["message"]


@pytest.mark.parametrize(
    ("method", "path", "allowed"),
    [
        ("PUT", "/v1/tasks", "GET, HEAD, POST"),
        ("DELETE", "/v1/tasks/batch", "POST"),
        ("PATCH", f"/v1/tasks/{NO_TASK}", "DELETE, GET, HEAD"),
        ("GET", f"/v1/tasks/{NO_TASK}/cancel", "POST"),
        ("HEAD", f"/v1/tasks/{NO_TASK}/events", "GET"),
        ("OPTIONS", "/livez", "GET, HEAD"),
        ("POST", "/openapi.json", "GET, HEAD"),
    ],
)
async def test_another_method_names_those_that_are_allowed(http, method, path, allowed):
    answer = await http.request(method, path)
    assert answer.status_code == 405
    assert answer.headers["allow"] == allowed


async def test_a_refused_body_leaves_the_connection_usable(http):
    for _ in range(3):
        too_large = await http.post("/v1/tasks", content=b"x" * (2 << 20), headers=JSON)
        assert too_large.status_code == 413
        assert (await http.post("/v1/tasks", content=body(), headers=JSON)).status_code == 202


async def test_a_setting_bounds_the_body(http, house):
    answer = await http.put("/v1/settings/gateway.max_body_bytes", json={"value": 2048})
    assert answer.status_code == 200
    house.services.pulse.kick()
    while house.live_settings.current.gateway.max_body_bytes != 2048:
        house.services.pulse.kick()
        await asyncio.sleep(0.02)
    assert (await http.post("/v1/tasks", content=body(input={"text": "x" * 3000}), headers=JSON)).status_code == 413


def check_problem(answer, status, code):
    assert (answer.status_code, answer.headers["content-type"]) == (status, "application/problem+json"), answer.text
    problem = answer.json()
    assert problem["status"] == status
    assert problem["type"].startswith("https://")
    assert problem["title"]
    assert problem["detail"]
    if code is not None:
        assert problem["code"] == code, problem
    for fault in problem.get("errors", []):
        assert set(fault) == {"path", "message"}
