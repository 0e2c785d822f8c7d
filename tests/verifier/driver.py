"""Runs both schedules side by side, heals everything, waits for quiet, and completes the record from the inside."""

import asyncio
import json
import time
from collections.abc import Awaitable, Callable, Sequence
from typing import Any

import httpx2
import msgspec

from tests.verifier import inside
from tests.verifier.client import Client
from tests.verifier.errand import Errand, Program
from tests.verifier.fleet import Fleet
from tests.verifier.menu import MENU, strike
from tests.verifier.plan import Planned
from tests.verifier.player import Player
from tests.verifier.record import Record
from tests.verifier.witness import Mark

QUIET_SECONDS = 120.0
LOOKS_AT_ONCE = 16
PAGE = 3  # messages; so few that a history has several pages


async def drive(
    fleet: Fleet, programs: Sequence[Program], plan: Sequence[Planned], say: Callable[[str], None]
) -> Record:
    """The whole run on a fleet that is ready."""
    record = Record(programs=list(programs))
    client = Client(fleet.doors, fleet.keys, record)
    player = Player(client, record, fleet.witness_port)
    playing = asyncio.create_task(_on_time(programs, player.play), name="programs")
    striker = _Striker(fleet, record, say)
    faults = asyncio.create_task(_on_time(plan, striker.strike), name="faults")
    await faults
    say(f"faults are over: {len(record.hits)} of {len(plan)}; waiting for the programs")
    await _until_quiet(playing, say)
    await client.close()
    await _complete(record, fleet)
    return record


class _Striker:
    """Makes the faults of a plan. What has not stood up from one yet, as on a slow machine, is spared the next."""

    def __init__(self, fleet: Fleet, record: Record, say: Callable[[str], None]) -> None:
        self._fleet = fleet
        self._record = record
        self._say = say
        self._down: set[str] = set()

    async def strike(self, planned: Planned) -> None:
        kind, _ = MENU[planned.kind]
        if self._down.intersection(kind.hits):
            self._say(f"fault {planned.number} {planned.kind} is left out: what it would hit has not stood up yet")
            return
        self._down.update(kind.hits)
        try:
            hit = await strike(self._fleet, planned, self._record.hits)
        except Exception as error:  # noqa: BLE001 - it is evidence, and the run goes on
            text = f"fault {planned.number} {planned.kind}: {type(error).__name__} {error}"
            self._say(text)
            if any(hit.number == planned.number for hit in self._record.hits):  # else it could not even be made
                self._record.unrecovered.append(text)
            return
        finally:
            self._down.difference_update(kind.hits)
        self._say(f"fault {hit.number} {hit.kind} {list(hit.pids)} {hit.detail}")


async def _on_time(items: Sequence[Any], do: Callable[[Any], Awaitable[None]]) -> None:
    """Do each at its moment, whatever the others take; return when all are done."""
    began = time.monotonic()
    async with asyncio.TaskGroup() as group:
        for item in items:
            await asyncio.sleep(max(0.0, item.at_seconds - (time.monotonic() - began)))
            group.create_task(_as_coroutine(do(item)))


async def _as_coroutine(awaitable: Awaitable[None]) -> None:
    await awaitable


async def _until_quiet(playing: asyncio.Task[None], say: Callable[[str], None]) -> None:
    """Everything is healed: the programs must come to their ends now. Those that do not are cut off, and said to be."""
    _, late = await asyncio.wait({playing}, timeout=QUIET_SECONDS)
    for task in late:
        say(f"programs have not ended {QUIET_SECONDS:g} s after the last fault")
        task.cancel()
        await asyncio.wait({task})


async def _complete(record: Record, fleet: Fleet) -> None:
    await inside.complete(record, fleet.postgres.url, QUIET_SECONDS)
    lines = (fleet.folder / "marks.jsonl").read_text().splitlines()
    record.marks = [msgspec.convert(json.loads(line), Mark) for line in lines]
    async with httpx2.AsyncClient() as http:
        calls = (await http.get(f"{fleet.provider_url}/_fake/calls")).json()["calls"]
    record.answered = {call["last_message"].partition(" ")[0]: call["n_answered"] for call in calls}
    await _look_from_outside(record, fleet)


async def _look_from_outside(record: Record, fleet: Fleet) -> None:
    """Every task once more over HTTP, every stream that was followed once more from its beginning, and what was said."""
    client = Client(fleet.doors, fleet.keys, Record())
    errands, places = record.errands, asyncio.Semaphore(LOOKS_AT_ONCE)

    async def look(label: str, task_id: str) -> None:
        async with places:
            await _look_at(client, record, errands[label], task_id)

    async with asyncio.TaskGroup() as group:
        for label, task_ids in record.task_ids.items():
            for task_id in task_ids:
                group.create_task(look(label, task_id))
        for program in record.programs:
            if program.kind == "talk" and program.errands[0].label in record.task_ids:
                group.create_task(_read_history(client, record, program.errands[0]))
    await client.close()


async def _look_at(client: Client, record: Record, errand: Errand, task_id: str) -> None:
    path, label, tenant = f"/v1/tasks/{task_id}", errand.label, errand.tenant
    reply = await client.ask("look", "GET", path, label=label, tenant=tenant, door=1)
    if reply.status == 200:
        record.shown[task_id] = reply.body
    if label in record.readings:
        stream = client.events(f"{path}/events", label=label, tenant=tenant, door=0, after=0)
        record.streams[label] = [event async for event in stream]


async def _read_history(client: Client, record: Record, errand: Errand) -> None:
    """All pages of what its conversation holds, the oldest first."""
    talk, after = errand.conversation or "", ""
    history = record.histories[talk] = []
    while True:
        path = f"/v1/conversations/{talk}?order=asc&limit={PAGE}{after}"
        reply = await client.ask("look", "GET", path, label=errand.label, tenant=errand.tenant, door=1)
        history += [message["message"]["content"] for message in reply.body["data"]]
        if not reply.body["has_more"]:
            return
        after = f"&after={reply.body['data'][-1]['id']}"
