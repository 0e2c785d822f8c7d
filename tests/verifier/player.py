"""Plays programs: one act after the other, as the client that the program describes."""

import asyncio
import random
from typing import Any, assert_never

from tests.verifier import witness
from tests.verifier.client import Client
from tests.verifier.errand import (
    DOORS,
    Act,
    Answer,
    Await,
    Cancel,
    Errand,
    Follow,
    Misuse,
    Program,
    Replay,
    Signal,
    Submit,
    SubmitAtOnce,
    SubmitBatch,
)
from tests.verifier.record import Event, Record, Sight

WAIT_SECONDS = 10
FINAL = frozenset({"succeeded", "failed", "cancelled"})
FINAL_EVENTS = frozenset({"task.succeeded", "task.failed", "task.cancelled"})


class Player:
    def __init__(self, client: Client, record: Record, witness_port: int) -> None:
        self._client = client
        self._record = record
        self._witness_port = witness_port

    async def play(self, program: Program) -> None:
        """Every act in its turn. Whatever breaks it off is written down, as nothing may."""
        part = _Part(program, self._client, self._record, self._witness_port)
        try:
            for act in program.acts:
                await part.act(act)
        except asyncio.CancelledError:
            self._record.unplayed[str(program.number)] = f"not over when the run was; at {part.now}"
            raise
        except Exception as error:  # noqa: BLE001 - it is evidence
            self._record.unplayed[str(program.number)] = f"{type(error).__name__}: {error}; at {part.now}"


class Unexpected(Exception):
    """An answer that a correct house never gives to this act."""


class _Part:
    """One program's memory: the ids that it was given."""

    def __init__(self, program: Program, client: Client, record: Record, witness_port: int) -> None:
        self._errands = {errand.label: errand for errand in program.errands}
        self._door = program.door
        self._dice = random.Random(f"part {program.number}")
        self._client = client
        self._record = record
        self._witness_port = witness_port
        self._ids: dict[str, str] = {}
        self._answered: set[str] = set()  # waits
        self.now = "the beginning"

    async def act(self, act: Act) -> None:
        self.now = repr(act)
        match act:
            case Submit(labels, repeats, waits_seconds):
                for label in labels:
                    await self._submit(label, self._door, waits_seconds)
                    await asyncio.gather(*(self._submit(label, nth % DOORS) for nth in range(repeats)))
            case SubmitAtOnce(labels):
                await asyncio.gather(*(self._submit(label, nth % DOORS) for nth, label in enumerate(labels)))
            case SubmitBatch(labels):
                await self._submit_batch(labels)
            case Misuse(label):
                await self._misuse(label)
            case Cancel(label, after_seconds):
                await asyncio.sleep(after_seconds)
                await self._cancel(label)
            case Follow(label, hang_up_after):
                await self._follow(label, hang_up_after)
            case Await(label):
                await self._await_end(label)
            case Replay(label):
                await self._replay(label)
            case Signal(label, name, payload, after_seconds, repeats):
                await asyncio.sleep(after_seconds)
                await self._signal(label, name, {"payload": payload}, repeats)
            case Answer(label, name, payload, repeats):
                wait_id = await self._until_it_waits(label, name)
                await self._signal(label, name, {"payload": payload, "wait_id": wait_id}, repeats)
            case _:
                assert_never(act)

    async def _submit(self, label: str, door: int, waits_seconds: int = 0) -> None:
        errand = self._errands[label]
        reply = await self._ask(
            "submit", "POST", "/v1/tasks", errand, door=door, key=label, body=errand.body(), wait_seconds=waits_seconds
        )
        self._took(label, reply.body, "submit")

    async def _submit_batch(self, labels: tuple[str, ...]) -> None:
        """Items are answered one by one; those that were refused for now are sent again."""
        left = list(labels)
        while left:
            items = [{**self._errands[label].body(), "idempotency_key": label} for label in left]
            first = self._errands[left[0]]
            reply = await self._ask("batch", "POST", "/v1/tasks/batch", first, body={"tasks": items})
            answers = dict(zip(left, reply.body["data"], strict=True))
            for label, answer in answers.items():
                if "id" in answer:
                    self._took(label, answer, "batch")
                elif answer.get("status") != 503:
                    raise Unexpected(f"{label} in a batch: {answer}")
            left = [label for label in left if "id" not in answers[label]]
            if left:
                await asyncio.sleep(1)

    async def _misuse(self, label: str) -> None:
        body = {**self._errands[label].body(), "metadata": {"other": True}}
        await self._ask("misuse", "POST", "/v1/tasks", self._errands[label], key=label, body=body, expect=422)

    async def _cancel(self, label: str) -> None:
        self._record.cancelled.add(label)
        reply = await self._ask("cancel", "POST", f"{self._path(label)}/cancel", self._errands[label])
        self._saw(label, reply.body, "cancel")

    async def _await_end(self, label: str) -> dict[str, Any]:
        while True:
            reply = await self._ask(
                "wait",
                "GET",
                f"{self._path(label)}?wait={WAIT_SECONDS}",
                self._errands[label],
                wait_seconds=WAIT_SECONDS,
            )
            self._saw(label, reply.body, "wait")
            if reply.body["status"] in FINAL:
                task: dict[str, Any] = reply.body
                return task

    async def _replay(self, label: str) -> None:
        """A repeat of a retry that was not answered may find that it was heard: then it is no dead letter any more (409)."""
        await self._await_end(label)
        await witness.mend(self._witness_port, label)
        self._record.replayed.add(label)
        errand = self._errands[label]
        reply = await self._client.ask(
            "retry", "POST", f"{self._path(label)}/retry", label=label, tenant=errand.tenant, door=self._door
        )
        if reply.status != 202 and not (reply.status == 409 and reply.was_repeated):
            raise Unexpected(f"retry of {label}: {reply.status} {reply.body}")

    async def _signal(self, label: str, name: str, body: dict[str, Any], repeats: int) -> None:
        """All at once. One is taken; of the others, without a wait's id, some may come after it was heard (409)."""
        asking = [
            self._client.ask(
                "signal",
                "POST",
                f"{self._path(label)}/signals/{name}",
                label=label,
                tenant=self._errands[label].tenant,
                door=nth % DOORS,
                body=body,
            )
            for nth in range(1 + repeats)
        ]
        replies = await asyncio.gather(*asking)
        was_taken = any(reply.status == 202 or reply.was_repeated for reply in replies)
        allowed = {202} if "wait_id" in body else {202, 409}
        if not was_taken or any(reply.status not in allowed for reply in replies):
            raise Unexpected(f"signal {name} to {label}: {[(reply.status, reply.body) for reply in replies]}")

    async def _until_it_waits(self, label: str, name: str) -> str:
        """The id of a wait of that name that was not answered yet."""
        while True:
            reply = await self._ask("look", "GET", self._path(label), self._errands[label])
            waiting_for = reply.body.get("waiting_for") or {}
            if waiting_for.get("name") == name and waiting_for["id"] not in self._answered:
                self._answered.add(waiting_for["id"])
                return str(waiting_for["id"])
            if reply.body["status"] in FINAL:
                raise Unexpected(f"{label} ended as {reply.body['status']} and never waited for {name!r}")
            await asyncio.sleep(0.2)

    async def _follow(self, label: str, hang_up_after: int) -> None:
        """Read to the final event, at one door after the other; every connection resumes where the last one stopped."""
        errand, door = self._errands[label], self._door
        read: list[Event] = []
        self._record.readings[label] = read
        while not (read and read[-1].type in FINAL_EVENTS):
            after = read[-1].number if read else 0
            stream = self._client.events(
                f"{self._path(label)}/events", label=label, tenant=errand.tenant, door=door, after=after
            )
            had = len(read)
            async for event in stream:
                read.append(event)
                if event.type in FINAL_EVENTS or len(read) - had >= hang_up_after:
                    break
            await stream.aclose()  # type: ignore[attr-defined] # it is a generator
            door = (door + 1) % DOORS
            if len(read) == had:
                await asyncio.sleep(self._dice.uniform(0.1, 0.5))
        self._saw(label, read[-1].data["task"], "stream")

    async def _ask(
        self,
        what: str,
        method: str,
        path: str,
        errand: Errand,
        *,
        door: int | None = None,
        key: str | None = None,
        body: object = None,
        wait_seconds: float = 0.0,
        expect: int | None = None,
    ) -> Any:
        reply = await self._client.ask(
            what,
            method,
            path,
            label=errand.label,
            tenant=errand.tenant,
            door=self._door if door is None else door,
            key=key,
            body=body,
            wait_seconds=wait_seconds,
        )
        if reply.status not in ({expect} if expect else {200, 202}):
            raise Unexpected(f"{what} of {errand.label}: {reply.status} {reply.body}")
        return reply

    def _path(self, label: str) -> str:
        return f"/v1/tasks/{self._ids[label]}"

    def _took(self, label: str, task: dict[str, Any], via: str) -> None:
        """It was accepted: from now on it must never be lost, and never be another task."""
        self._ids[label] = task["id"]
        self._record.task_ids[label].add(task["id"])
        self._saw(label, task, via)

    def _saw(self, label: str, task: dict[str, Any], via: str) -> None:
        import time

        self._record.sights.append(Sight(at=time.time(), via=via, label=label, task=task))
