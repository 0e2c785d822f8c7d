"""Webhooks of a whole house, with a worker killed amid them: nothing is lost, and nobody waits for another."""

import asyncio
import os
import signal
from collections import Counter

import pytest

from tests.system.house import House
from tests.worker.receiver import OK, Call, receiving, status

pytestmark = pytest.mark.system
TASKS = 60


async def test_no_event_is_lost_whatever_receivers_do_and_whoever_dies(house: House) -> None:
    await house.serve(workers=2, slots=20)
    await house.configure("webhooks.allow_private", True)
    async with receiving() as good, receiving() as flapping, receiving() as dead, receiving() as moved:
        flapping.answer = lambda _call: status(500) if len(flapping.calls) % 4 == 0 else OK
        moved.answer = lambda _call: status(308, f"location: {good.url}/elsewhere")
        dead.answer = _never
        secrets, endpoints = {}, {}
        for receiver in (good, flapping, dead, moved):
            body = {"url": f"{receiver.url}?token=hidden", "event_types": ["task.succeeded"], "name": "n"}
            async with asyncio.timeout(10):
                while (answer := await house.http.post("/v1/webhook_endpoints", json=body)).status_code != 201:
                    await asyncio.sleep(0.05)  # the setting is in force within a second
            secrets[receiver.port], endpoints[receiver.port] = answer.json()["signing_secret"], answer.json()["id"]
        for receiver, code in ((good, 200), (moved, 308)):
            where = f"/v1/webhook_endpoints/{endpoints[receiver.port]}/test"
            async with asyncio.timeout(10):
                while (tested := await house.http.post(where)).status_code != 200:
                    await asyncio.sleep(0.05)  # likewise by the workers
            assert tested.json()["status_code"] == code
            assert receiver.calls.pop().verified(secrets[receiver.port])["data"]["metadata"] == {"test": True}
        tasks = set(await house.submit_many([{"agent": "echo", "input": {"value": "x"}}] * TASKS))
        await flapping.called(5)
        os.kill((await house.workers())[0]["pid"], signal.SIGKILL)

        async def all_told() -> bool:
            await house.rows(
                "UPDATE tasks SET run_at = date_trunc('milliseconds', now())"
                " WHERE about IS NOT NULL AND status = 'queued' AND failures > 0 AND run_at > now() + interval '1 second'"
            )
            return all(tasks <= {one.json["data"]["id"] for one in of.calls} for of in (good, flapping))

        await good.called(TASKS, seconds=15)  # whoever else is slow or dead
        await house.until(all_told, "all told", seconds=90)
        assert {call.json["data"]["id"] for call in good.calls} == tasks
        assert not [call for call in good.calls if "elsewhere" in call.path]
        for receiver in (good, flapping):
            assert all(call.verified(secrets[receiver.port]) for call in receiver.calls[-20:])
            ids = Counter((call.headers["webhook-id"], call.json["data"]["id"]) for call in receiver.calls)
            assert len(ids) == TASKS, "an event has one id, whatever happened to it"
        for port in (dead.port, moved.port):
            assert await _unfinished(house, port) == TASKS, "what was not told is kept"
    log = house.log()
    assert not [secret for secret in secrets.values() if secret[6:] in log]
    assert "hidden" not in log


async def _never(_call: Call) -> None:
    await asyncio.sleep(100)


async def _unfinished(house: House, port: int) -> int:
    [row] = await house.rows(
        "SELECT count(*) n FROM tasks d JOIN webhook_endpoints e ON e.url LIKE '%:' || $1 || '/%'"
        " WHERE d.about IS NOT NULL AND d.finished_at IS NULL AND position(e.id::text in convert_from(d.input, 'UTF8')) > 0",
        str(port),
    )
    return int(row["n"])
