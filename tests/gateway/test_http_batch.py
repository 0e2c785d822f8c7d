"""A batch: each item for itself."""

import pytest

pytestmark = pytest.mark.asyncio(loop_scope="module")


async def test_one_bad_item_fails_alone(http, echo):
    items = [
        echo,
        {**echo, "agent": "nobody"},
        {**echo, "priority": 99},
        {**echo, "surprise": 1},
        {"input": {}},
        "text",
        {**echo, "input": {"text": 1}},
        echo,
    ]
    answer = await http.post("/v1/tasks/batch", json={"tasks": items})
    assert answer.status_code == 202
    data = answer.json()["data"]
    assert [one.get("code", "ok") for one in data] == [
        "ok",
        "unknown_agent",
        "invalid_input",
        "invalid_input",
        "invalid_input",
        "invalid_input",
        "invalid_input",
        "ok",
    ]
    assert all(one["status"] == 422 and one["detail"] for one in data if "code" in one)
    assert data[3]["errors"][0]["path"].endswith("surprise")
    listed = (await http.get("/v1/tasks")).json()["data"]
    assert {task["id"] for task in listed} == {data[0]["id"], data[7]["id"]}


async def test_what_only_one_item_cannot_be_kept_for_spares_the_others(http):
    good = b'{"agent": "echo", "input": {"text": "hello"}}'
    bad = [
        b'{"agent": "echo", "input": {"text": "\\ud800"}}',
        b'{"agent": "echo", "input": {"text": "\\u0000"}}',
        b'{"agent": "echo", "input": {"text": "x", "n": 1e400}}',
        b'{"agent": "echo", "agent": "echo", "input": {"text": "x"}}',
        b'{"agent": "echo", "input": {"text": "x", "deep": ' + b"[" * 200 + b"]" * 200 + b"}}",
    ]
    body = b'{"tasks": [' + b", ".join([good, *bad, good]) + b"]}"
    answer = await http.post("/v1/tasks/batch", content=body, headers={"content-type": "application/json"})
    data = answer.json()["data"]
    assert answer.status_code == 202
    assert [one.get("code", "ok") for one in data] == [
        "ok",
        "lone_surrogate",
        "nul_character",
        "number_out_of_range",
        "duplicate_name",
        "too_deep",
        "ok",
    ]


async def test_items_carry_their_keys(http, echo):
    batch = {"tasks": [{**echo, "idempotency_key": f"b-{number}"} for number in (1, 2, 1)]}
    first = (await http.post("/v1/tasks/batch", json=batch)).json()["data"]
    assert first[0]["id"] == first[2]["id"] != first[1]["id"]
    again = (await http.post("/v1/tasks/batch", json=batch)).json()["data"]
    assert [task["id"] for task in again] == [task["id"] for task in first]
    single = await http.post("/v1/tasks", json=echo, headers={"idempotency-key": "b-2"})
    assert single.json()["id"] == first[1]["id"]


async def test_a_thousand_at_once(http, echo):
    answer = await http.post("/v1/tasks/batch", json={"tasks": [echo] * 1000})
    assert answer.status_code == 202
    assert len({task["id"] for task in answer.json()["data"]}) == 1000


async def test_a_batch_has_its_bounds(http, echo):
    for tasks in ([], [echo] * 1001):
        answer = await http.post("/v1/tasks/batch", json={"tasks": tasks})
        assert (answer.status_code, answer.json()["code"]) == (422, "invalid_input")
    answer = await http.post("/v1/tasks/batch", json={"tasks": [echo]}, headers={"idempotency-key": "x"})
    assert answer.status_code == 400
    assert (await http.get("/v1/tasks")).json()["data"] == []
    beside = (await http.post("/v1/tasks/batch", json={"tasks": [echo], "colour": "red"})).json()
    assert (beside["code"], [fault["path"] for fault in beside["errors"]]) == ("invalid_input", ["colour"])
