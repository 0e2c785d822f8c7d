"""What do clients notice of ten rolling restarts (SIGHUP) of every process, one after another?

Meanwhile, on connections that are kept alive as any HTTP library does: 100 requests a second (submits, reads, long-polls),
and readers that follow the streams of tasks which speak every 100 ms, resuming by Last-Event-ID when a gateway leaves. A
stream must bring each word of the agent once and in order.

Floor: the same load for as long, and no restart.
"""

import asyncio
import itertools
import os
import signal
import time
from collections import Counter
from collections.abc import AsyncIterator
from typing import Any

import httpx2
import psutil
from msgspec import Struct, field

from benchmarks import harness

RESTARTS = 10
REQUESTS_PER_SECOND = 100
READERS = 20
WORDS = 30
FINAL = ("event: task.succeeded", "event: task.failed", "event: task.cancelled")


class Seen(Struct):
    """What clients saw."""

    requests: Counter[str] = field(default_factory=Counter)
    failed: list[str] = field(default_factory=list)
    accepted: list[str] = field(default_factory=list)
    streams: int = 0
    resumed: int = 0
    spoiled: list[str] = field(default_factory=list)


class Client:
    def __init__(self, served: harness.Served) -> None:
        self.seen = Seen()
        self.is_over = asyncio.Event()
        self._http = httpx2.AsyncClient(
            base_url=f"http://{served.host}:{served.port}",
            headers={"Authorization": f"Bearer {served.key}"},
            limits=httpx2.Limits(max_connections=None, max_keepalive_connections=100),
            timeout=60,
        )

    async def load(self) -> None:
        """An open loop: each request at its time, however long the others take."""
        began, requests = time.monotonic(), []
        for number in itertools.count():
            if self.is_over.is_set():
                break
            await asyncio.sleep(max(0.0, began + number / REQUESTS_PER_SECOND - time.monotonic()))
            requests.append(asyncio.create_task(self._one(number)))
        await asyncio.gather(*requests)

    async def read_streams(self) -> None:
        while not self.is_over.is_set():
            task = await self._ask("submit", "POST", "/v1/tasks", {"agent": "speaker", "input": WORDS})
            if task is not None:
                await self._follow(task["id"])

    async def _one(self, number: int) -> None:
        accepted = self.seen.accepted
        if number % 5 < 3 or not accepted:
            task = await self._ask("submit", "POST", "/v1/tasks", {"agent": "idle", "input": 0.2})
            if task is not None:
                accepted.append(task["id"])
        elif number % 5 == 3:
            await self._ask("read", "GET", f"/v1/tasks/{accepted[-1]}")
        else:
            await self._ask("long-poll", "GET", f"/v1/tasks/{accepted[-1]}?wait=5")

    async def _ask(self, what: str, method: str, path: str, body: Any = None) -> Any:
        self.seen.requests[what] += 1
        try:
            answer = await self._http.request(method, path, json=body)
        except httpx2.TransportError as error:
            self.seen.failed.append(f"{what}: {error!r}")
            return None
        if answer.status_code not in {200, 202}:
            self.seen.failed.append(f"{what}: {answer.status_code} {answer.text}")
            return None
        return answer.json()

    async def _follow(self, task_id: str) -> None:
        """To its final event, over as many connections as it takes."""
        last, words, connections, has_ended = 0, list[int](), 0, False
        while not has_ended:
            connections += 1
            headers = {"Last-Event-ID": str(last)} if last else {}
            try:
                async with self._http.stream("GET", f"/v1/tasks/{task_id}/events", headers=headers) as answer:
                    async for line in answer.aiter_lines():
                        if line.startswith("id: "):
                            number = int(line[4:])
                            if number <= last:
                                self.seen.spoiled.append(f"{task_id}: {number} came after {last}")
                            last = number
                        elif line.startswith("data: ") and '"word"' in line:
                            words.append(int(line.rpartition('"n":')[2].rstrip("} ")))
                        has_ended |= line.startswith(FINAL)
            except httpx2.TransportError as error:
                self.seen.spoiled.append(f"{task_id}: {error!r}")
        self.seen.streams += 1
        self.seen.resumed += connections - 1
        if words != list(range(WORDS)):
            self.seen.spoiled.append(f"{task_id}: it said {words}")

    async def close(self) -> None:
        await self._http.aclose()


def processes_of(served: harness.Served) -> set[int]:
    """The gateways and workers that the supervisor keeps."""
    children = psutil.Process(served.process.pid).children()
    return {child.pid for child in children if {"gateway", "worker"} & set(child.cmdline())}


async def roll(served: harness.Served) -> float:
    """One SIGHUP, until every process is another one; the seconds that it took."""
    before, began = await asyncio.to_thread(processes_of, served), time.monotonic()
    os.kill(served.process.pid, signal.SIGHUP)
    while True:
        now = await asyncio.to_thread(processes_of, served)
        if not now & before and len(now) == len(before):
            return time.monotonic() - began
        await asyncio.sleep(0.1)


async def measure(served: harness.Served, restarts: int, seconds_without: float = 0.0) -> dict[str, Any]:
    client = Client(served)
    load = [asyncio.create_task(client.load())]
    load += [asyncio.create_task(client.read_streams()) for _ in range(READERS)]
    await asyncio.sleep(2 + seconds_without)
    took_seconds = [await roll(served) for _ in range(restarts)]
    await asyncio.sleep(2)
    client.is_over.set()
    await asyncio.gather(*load)
    tasks = [task async for task in ended(served, client.seen.accepted)]
    await client.close()
    seen = client.seen
    for line in [*seen.failed[:10], *seen.spoiled[:10]]:
        print(line)
    return {
        "requests": sum(seen.requests.values()),
        "failed_requests": len(seen.failed),
        "streams": seen.streams,
        "streams_resumed": seen.resumed,
        "spoiled_streams": len(seen.spoiled),
        "failures": sum(task["failures"] for task in tasks),
        "losses": sum(task["losses"] for task in tasks),
        "not_succeeded": sum(task["status"] != "succeeded" for task in tasks),
        "seconds_a_restart": round(sum(took_seconds) / len(took_seconds), 2) if took_seconds else 0.0,
    }


async def ended(served: harness.Served, ids: list[str]) -> AsyncIterator[dict[str, Any]]:
    """Each of the tasks once it has ended."""
    for start in range(0, len(ids), 50):
        asked = (harness.request_json(served, "GET", f"/v1/tasks/{one}?wait=30") for one in ids[start : start + 50])
        for task in await asyncio.gather(*asked):
            yield task


def main() -> None:
    with harness.serve(gateways=2, workers=2, slots=200) as served:
        floor = asyncio.run(measure(served, 0, seconds_without=20))
        answer = asyncio.run(measure(served, RESTARTS))
    harness.report(
        "What do clients notice of ten rolling restarts of every process?",
        answer,
        floor,
        {"failed_requests": float(answer["failed_requests"])},
        requests_per_second=REQUESTS_PER_SECOND,
        readers=READERS,
        restarts=RESTARTS,
    )


if __name__ == "__main__":
    main()
