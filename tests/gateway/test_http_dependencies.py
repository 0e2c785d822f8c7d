"""What is said when the house is full, or when a dependency is away."""

import asyncio


async def test_a_queue_that_is_full_says_so_and_a_replay_is_not_refused(own_house, echo):
    http = own_house.client()
    await http.put("/v1/settings/queues.default.max_depth", json={"value": 1})
    kept = await http.post("/v1/tasks", json=echo, headers={"idempotency-key": "k"})
    assert kept.status_code == 202
    await own_house.ledger.tasks.measure_depths()
    async with asyncio.timeout(5):
        while (refused := await http.post("/v1/tasks", json=echo)).status_code == 202:
            await own_house.ledger.tasks.measure_depths()
            await asyncio.sleep(0.05)
    assert (refused.status_code, refused.json()["code"]) == (429, "queue_full")
    assert int(refused.headers["retry-after"]) >= 1
    assert refused.json()["retry_after"] > 0
    assert refused.headers["ratelimit"].startswith('"queue_full";r=0;t=')
    assert refused.headers["ratelimit-policy"] == '"queue_full";q=1'
    again = await http.post("/v1/tasks", json=echo, headers={"idempotency-key": "k"})
    assert (again.status_code, again.json()["id"]) == (202, kept.json()["id"])
