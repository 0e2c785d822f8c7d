"""A task's events as they come. A stream that is cut goes on where it was, on whichever gateway answers: each event comes once."""

import asyncio
from collections.abc import AsyncIterator
from typing import TYPE_CHECKING

import msgspec

from dayshift.client.sending import TRIES, Sender, is_worth_waiting, pause_seconds
from dayshift.client.shapes import Event
from dayshift.domain.errors import DependencyAway, Refused
from dayshift.domain.stream import FINAL_EVENTS

if TYPE_CHECKING:
    from httpx2 import AsyncClient

SILENCE_SECONDS = 60.0  # a gateway says something every 15 seconds, if only that it is there


async def events_of(http: "AsyncClient", sender: Sender, task_id: str, after: int) -> AsyncIterator[Event]:
    """From the first whose number is above `after` to the final one. Raises NotFound, and DependencyAway when no gateway comes back."""
    failures = 0
    while True:
        try:
            async for event in _events_of_one(http, sender, task_id, after):
                failures, after = 0, event.id
                yield event
                if event.type in FINAL_EVENTS:
                    return
            cut: DependencyAway | Refused = DependencyAway("the gateway ended the stream before its last event")
        except (DependencyAway, Refused) as error:
            cut = error
        failures += 1
        if failures == TRIES or not is_worth_waiting(cut):
            raise cut
        await asyncio.sleep(pause_seconds(cut, failures))


async def _events_of_one(http: "AsyncClient", sender: Sender, task_id: str, after: int) -> AsyncIterator[Event]:
    """Of one connection."""
    import httpx2

    headers = {"Accept": "text/event-stream", **({"Last-Event-ID": str(after)} if after else {})}
    try:
        async with http.stream(
            "GET", f"/v1/tasks/{task_id}/events", headers=headers, timeout=SILENCE_SECONDS
        ) as answer:
            if answer.is_error:
                raise sender.refusal(answer.status_code, await answer.aread())
            number, kind = 0, ""
            async for line in answer.aiter_lines():
                name, _, value = line.partition(": ")
                if name == "id":
                    number = int(value)
                elif name == "event":
                    kind = value
                elif name == "data":
                    yield Event(number, kind, msgspec.json.decode(value))
    except httpx2.TransportError as error:
        raise sender.away(error) from error
