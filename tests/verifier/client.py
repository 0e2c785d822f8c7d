"""A careful client: it repeats what was not answered, with the same key, at the other door, until it is answered.

What it may meet is 200 and 202, 503 with Retry-After while a dependency is away, and no answer at all from a gateway that
was killed, frozen or cut off. It writes everything down; whether each was allowed is judged afterwards.

Each request has a connection of its own: on a kept one, a server that leaves may close it in the moment that the next
request is sent, and no client can know whether that one was read. That is HTTP's own race, and not what is tested here.
"""

import asyncio
import json
import time
from collections.abc import AsyncIterator, Mapping
from typing import Any

import httpx2
from msgspec import Struct

from tests.verifier.record import Answer, Event, Record

REQUEST_SECONDS = 12.0
PAUSE_SECONDS = 0.25
LONGEST_PAUSE_SECONDS = 2.0


class Reply(Struct, frozen=True):
    status: int
    headers: Mapping[str, str]
    body: Any
    was_repeated: bool  # an earlier try of the same request got no answer, and may have been heard


class Client:
    """`urls` are the doors; `keys` the API key of each tenant."""

    def __init__(self, urls: list[str], keys: Mapping[str, str], record: Record) -> None:
        self._urls = urls
        self._keys = keys
        self._record = record
        self._http = httpx2.AsyncClient(
            limits=httpx2.Limits(max_connections=None, max_keepalive_connections=0), timeout=REQUEST_SECONDS
        )

    async def close(self) -> None:
        await self._http.aclose()

    async def ask(
        self,
        what: str,
        method: str,
        path: str,
        *,
        label: str,
        tenant: str,
        door: int,
        key: str | None = None,
        body: object = None,
        wait_seconds: float = 0.0,
    ) -> Reply:
        """Ask until there is an answer that is not 503. `wait_seconds`: how much longer that answer may take."""
        headers = {"Authorization": f"Bearer {self._keys[tenant]}"}
        if key is not None:
            headers["Idempotency-Key"] = key
        if method == "POST" and wait_seconds:
            headers["Prefer"] = f"wait={wait_seconds:g}"
        was_repeated = False
        while True:
            sent_at, status, pause_seconds, trouble, text = time.time(), 0, PAUSE_SECONDS, "", ""
            try:
                answer = await self._http.request(
                    method,
                    self._urls[door] + path,
                    headers=headers,
                    json=body,
                    timeout=REQUEST_SECONDS + wait_seconds,
                )
                status, text = answer.status_code, answer.text
            except httpx2.TransportError as error:
                trouble, was_repeated = type(error).__name__, True
            if status == 503:
                asked = answer.headers.get("retry-after")
                trouble = "" if asked else "no Retry-After"
                pause_seconds = min(float(asked or 1), LONGEST_PAUSE_SECONDS)
            self._note(sent_at, door, what, label, status, trouble, text if status >= 400 else "")
            if status not in {0, 503}:
                return Reply(status, answer.headers, _json(text), was_repeated)
            door = (door + 1) % len(self._urls)
            await asyncio.sleep(pause_seconds)

    async def events(self, path: str, *, label: str, tenant: str, door: int, after: int) -> AsyncIterator[Event]:
        """One connection's worth of a stream: ends where the server ends it, or the connection breaks."""
        headers = {"Authorization": f"Bearer {self._keys[tenant]}", "Last-Event-ID": str(after)}
        sent_at, status, trouble = time.time(), 0, ""
        try:
            async with self._http.stream("GET", self._urls[door] + path, headers=headers, timeout=30) as answer:
                status = answer.status_code
                if status == 503 and "retry-after" not in answer.headers:
                    trouble = "no Retry-After"
                if status == 200:
                    async for event in _parsed(answer.aiter_lines()):
                        yield event
        except httpx2.TransportError as error:
            trouble = type(error).__name__
            if status == 200:
                trouble, status = f"stream {trouble}", 0
        finally:
            self._note(sent_at, door, "stream", label, status, trouble, "")

    def _note(self, sent_at: float, door: int, what: str, label: str, status: int, trouble: str, detail: str) -> None:
        self._record.answers.append(
            Answer(
                sent_at=sent_at,
                answered_at=time.time(),
                door=door,
                what=what,
                label=label,
                status=status,
                trouble=trouble,
                detail=detail[:500],
            )
        )


def _json(text: str) -> Any:
    """The body; the text itself when it is no JSON, which no answer of ours should be."""
    try:
        return json.loads(text) if text else None
    except json.JSONDecodeError:
        return text


async def _parsed(lines: AsyncIterator[str]) -> AsyncIterator[Event]:
    """Server-Sent Events, as far as this server speaks them."""
    fields: dict[str, str] = {}
    async for line in lines:
        if line == "":
            if "data" in fields:
                yield Event(number=int(fields["id"]), type=fields["event"], data=json.loads(fields["data"]))
            fields = {}
        elif not line.startswith(":"):
            name, _, value = line.partition(": ")
            fields[name] = value
