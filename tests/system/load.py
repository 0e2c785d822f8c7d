"""Clients who go on all the while, whatever happens to the house, and note what they are told."""

import asyncio
import contextlib
import time
from collections import Counter
from collections.abc import AsyncIterator

import httpx2
from msgspec import Struct, field

from tests.system.house import House


class Load(Struct):
    """What clients saw who went on all the while."""

    statuses: Counter[int] = field(default_factory=Counter)
    accepted: list[str] = field(default_factory=list)
    wrong: list[str] = field(default_factory=list)

    @contextlib.asynccontextmanager
    async def going_on(self, house: House, clients: int) -> AsyncIterator[None]:
        """So many clients submit without a pause while the block lasts."""
        is_over = asyncio.Event()
        running = [asyncio.create_task(self.submit_until(house, is_over, client)) for client in range(clients)]
        try:
            yield
        finally:
            is_over.set()
            await asyncio.gather(*running)

    async def submit_until(self, house: House, is_over: asyncio.Event, client: int) -> None:
        number = 0
        while not is_over.is_set():
            number += 1
            body = {"agent": "echo", "input": f"{client}-{number}"}
            try:
                answer = await house.http.post("/v1/tasks", json=body)
            except httpx2.TransportError as error:
                self.wrong.append(repr(error))  # no gateway was killed
                continue
            self.statuses[answer.status_code] += 1
            if answer.status_code == 202:
                self.accepted.append(answer.json()["id"])
            elif answer.status_code != 503 or "retry-after" not in answer.headers:
                self.wrong.append(f"{answer.status_code} {answer.text}")
            await asyncio.sleep(0.02)


async def final_of(house: House, task_id: str) -> str:
    """Follow the task's stream to its final event, by Last-Event-ID when it breaks; numbers rise all the way."""
    last, deadline = 0, time.monotonic() + 60
    while time.monotonic() < deadline:
        with contextlib.suppress(httpx2.TransportError):
            async with house.http.stream(
                "GET", f"/v1/tasks/{task_id}/events", headers={"Last-Event-ID": str(last)}
            ) as answer:
                assert answer.status_code in {200, 503}
                name = ""
                async for line in answer.aiter_lines():
                    if line.startswith("id: "):
                        assert int(line[4:]) > last, "an event came twice, or out of order"
                        last = int(line[4:])
                    elif line.startswith("event: "):
                        name = line[7:]
                    elif line == "" and name in {"task.succeeded", "task.failed", "task.cancelled"}:
                        return name
        await asyncio.sleep(0.2)
    raise AssertionError(f"no final event of {task_id}")
