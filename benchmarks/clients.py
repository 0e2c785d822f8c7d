"""Clients as they are: an HTTP library that keeps its connections, and readers that resume their streams.

They note what they saw. A refusal is an answer that says when to come back (503 with Retry-After); everything else that is
no success is a failed request.
"""

import asyncio
import itertools
import time
from collections import Counter
from collections.abc import AsyncIterator
from typing import Any

import httpx2
from msgspec import Struct, field

from benchmarks import harness
from benchmarks.harness.measuring import Figures

LONG_POLL_SECONDS = 5
WORDS = 30
TASK = {"agent": "idle", "input": 0.2}

_REFUSED_PAUSE_SECONDS = 0.2
_MOST_SHOWN = 10
_FINAL = ("event: task.succeeded", "event: task.failed", "event: task.cancelled")


class Seen(Struct):
    """What clients saw."""

    requests: Counter[str] = field(default_factory=Counter)
    refused: int = 0
    failed: list[str] = field(default_factory=list)
    accepted: list[str] = field(default_factory=list)
    accepted_at_mono: list[float] = field(default_factory=list)
    streams: int = 0
    resumed: int = 0
    snapshots: int = 0
    spoiled: list[str] = field(default_factory=list)

    def figures(self) -> Figures:
        return {
            "requests": float(self.requests.total()),
            "refused_requests": float(self.refused),
            "failed_requests": float(len(self.failed)),
            "streams": float(self.streams),
            "streams_resumed": float(self.resumed),
            "snapshots": float(self.snapshots),
            "spoiled_streams": float(len(self.spoiled)),
        }

    def complaints(self) -> list[str]:
        return [*self.failed[:_MOST_SHOWN], *self.spoiled[:_MOST_SHOWN]]


class Clients:
    """Requests at a steady rate (submits, reads, long-polls) and readers of streams, until `leave`."""

    def __init__(self, served: harness.Served) -> None:
        self.seen = Seen()
        self._is_over = asyncio.Event()
        self._work: list[asyncio.Task[None]] = []
        self._http = httpx2.AsyncClient(
            base_url=f"http://{served.host}:{served.port}",
            headers={"Authorization": f"Bearer {served.key}"},
            limits=httpx2.Limits(max_connections=None, max_keepalive_connections=100),
            timeout=90,
        )

    def come(self, *, per_second: float, readers: int) -> None:
        self._work = [asyncio.create_task(self._send_at(per_second))]
        self._work += [asyncio.create_task(self._read_streams()) for _ in range(readers)]

    async def leave(self) -> Seen:
        """Finish what was begun."""
        self._is_over.set()
        await asyncio.gather(*self._work)
        await self._http.aclose()
        return self.seen

    async def _send_at(self, per_second: float) -> None:
        """An open loop: each request at its time, however long the others take."""
        began, requests = time.monotonic(), []
        for number in itertools.count():
            if self._is_over.is_set():
                break
            await asyncio.sleep(max(0.0, began + number / per_second - time.monotonic()))
            requests.append(asyncio.create_task(self._send(number)))
        await asyncio.gather(*requests)

    async def _send(self, number: int) -> None:
        accepted = self.seen.accepted
        if number % 5 < 3 or not accepted:
            await self._submit(TASK)
        elif number % 5 == 3:
            await self._ask("read", "GET", f"/v1/tasks/{accepted[-1]}")
        else:
            await self._ask("long-poll", "GET", f"/v1/tasks/{accepted[-1]}?wait={LONG_POLL_SECONDS}")

    async def _submit(self, task: dict[str, Any]) -> str | None:
        answer = await self._ask("submit", "POST", "/v1/tasks", task)
        if answer is None:
            return None
        task_id: str = answer["id"]
        self.seen.accepted.append(task_id)
        self.seen.accepted_at_mono.append(time.monotonic())
        return task_id

    async def _ask(self, what: str, method: str, path: str, body: Any = None) -> Any:
        self.seen.requests[what] += 1
        try:
            answer = await self._http.request(method, path, json=body)
        except httpx2.TransportError as error:
            self.seen.failed.append(f"{what}: {error!r}")
            return None
        if answer.status_code in {200, 202}:
            return answer.json()
        self._note_refusal(what, answer)
        return None

    def _note_refusal(self, what: str, answer: httpx2.Response) -> None:
        if answer.status_code == 503 and "retry-after" in answer.headers:
            self.seen.refused += 1
        else:
            self.seen.failed.append(f"{what}: {answer.status_code}")

    async def _read_streams(self) -> None:
        while not self._is_over.is_set():
            task_id = await self._submit({"agent": "speaker", "input": WORDS})
            if task_id is None:
                await asyncio.sleep(_REFUSED_PAUSE_SECONDS)
            else:
                await self._follow(_Reader(task_id))

    async def _follow(self, reader: "_Reader") -> None:
        """To its final event, over as many connections as it takes."""
        connections = 0
        while not reader.has_ended:
            connections += 1
            headers = {"Last-Event-ID": str(reader.last)} if reader.last else {}
            try:
                async with self._http.stream("GET", f"/v1/tasks/{reader.task_id}/events", headers=headers) as answer:
                    if answer.status_code == 200:
                        async for line in answer.aiter_lines():
                            reader.take(line)
                    else:
                        self._note_refusal("stream", answer)
                        await asyncio.sleep(_REFUSED_PAUSE_SECONDS)
            except httpx2.TransportError as error:
                reader.complaints.append(repr(error))
        reader.judge()
        self.seen.streams += 1
        self.seen.resumed += connections - 1
        self.seen.snapshots += reader.snapshots
        self.seen.spoiled += [f"{reader.task_id}: {complaint}" for complaint in reader.complaints]


class _Reader:
    """What the reader of one stream of an agent that counts was told."""

    def __init__(self, task_id: str) -> None:
        self.task_id = task_id
        self.last = 0
        self.has_ended = False
        self.snapshots = 0
        self.complaints: list[str] = []
        self._words: list[int] = []

    def take(self, line: str) -> None:
        if line.startswith("id: "):
            number = int(line[4:])
            if number <= self.last:
                self.complaints.append(f"{number} came after {self.last}")
            self.last = number
        elif line.startswith("data: ") and '"word"' in line:
            self._words.append(int(line.rpartition('"n":')[2].rstrip("} ")))
        elif line == "event: task.snapshot":
            self.snapshots += 1
        self.has_ended |= line.startswith(_FINAL)

    def judge(self) -> None:
        """Every word once and in order; only behind a snapshot, which says so, words may be missing."""
        if self._words != list(range(WORDS)) and not (self.snapshots and self._words == sorted(set(self._words))):
            self.complaints.append(f"it said {self._words} with {self.snapshots} snapshots")


async def ended(served: harness.Served, ids: list[str]) -> AsyncIterator[dict[str, Any]]:
    """Each of the tasks once it has ended."""
    for start in range(0, len(ids), 50):
        asked = (harness.request_json(served, "GET", f"/v1/tasks/{one}?wait=60") for one in ids[start : start + 50])
        for task in await asyncio.gather(*asked):
            yield task


async def account(served: harness.Served, ids: list[str]) -> Figures:
    """What became of these tasks; all but `tasks` should be 0."""
    tasks = [task async for task in ended(served, ids)]
    return {
        "tasks": float(len(tasks)),
        "not_succeeded": float(sum(task["status"] != "succeeded" for task in tasks)),
        "failures": float(sum(task["failures"] for task in tasks)),
        "losses": float(sum(task["losses"] for task in tasks)),
        "attempts_beyond_one": float(sum(task["attempt"] - 1 for task in tasks)),
    }
