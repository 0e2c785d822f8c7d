"""Whose turn it is: tasks enter their lines, workers claim, acknowledge and give back. The rules are in `_queue.lua`."""

from collections.abc import Sequence
from typing import cast

from dayshift.domain.task import Place
from dayshift.hotplane import keys
from dayshift.hotplane.shapes import Ack, Claim, Enqueued, Lane
from dayshift.hotplane.state import State

MAX_TASKS_A_CALL = 1_000
MAX_LANES_A_CALL = 1_000


class Dispatch:
    """Queue order. Each call may be repeated when its answer was lost."""

    def __init__(self, state: State) -> None:
        self._state = state

    async def enqueue(self, places: Sequence[Place], *, rebuilding: bool = False) -> list[Enqueued]:
        """Announce tasks that the ledger has queued; the newest word about a task wins.

        A task that a worker holds stays with it (`held`); one behind a cold tail stays in the ledger (`cold`).
        """
        answers: list[Enqueued] = []
        for start in range(0, len(places), MAX_TASKS_A_CALL):
            piece = [flat for place in places[start : start + MAX_TASKS_A_CALL] for flat in flattened(place)]
            replies = await self._state.run("enqueue", *piece, rebuilding=rebuilding)
            answers += cast("list[Enqueued]", texts(replies))
        return answers

    async def claim(self, worker_id: str, request_id: str, agents: Sequence[tuple[str, int]], count: int) -> Claim:
        """Take up to `count` tasks that are claimed by these names, each with its agent's concurrency cap (-1: none).

        Repeating the worker's latest request answers the same tasks. A worker that gets fewer than it asked for is
        woken by `channels.worker(worker_id)` when there may be more.
        """
        wishes = [text for agent, cap in agents for text in (keys.escaped(agent), cap)]
        task_ids, refill, next_due_ms = await self._state.run("claim", worker_id, request_id, count, *wishes)
        return Claim(texts(task_ids), [_lane(parts) for parts in refill], int(next_due_ms) or None)

    async def ack(self, worker_id: str, acks: Sequence[Ack]) -> None:
        """Free the slots of tasks that this worker is done with; of tasks that it does not hold nothing is changed."""
        for start in range(0, len(acks), MAX_TASKS_A_CALL):
            await self._state.run(
                "ack",
                worker_id,
                *[flat for ack in acks[start : start + MAX_TASKS_A_CALL] for flat in _flattened_ack(ack)],
            )

    async def release(self, worker_id: str, task_ids: Sequence[str]) -> None:
        """Give claimed tasks back, to the heads of their lines."""
        if task_ids:
            await self._state.run("release", worker_id, *task_ids)

    async def stop_claiming(self, worker_id: str) -> None:
        """This worker takes no more work: a wake-up meant for it goes to another."""
        await self._state.run("stop_claiming", worker_id)

    async def refill(
        self, lane: Lane, places: Sequence[Place], more_from_seq: int | None, token: str | None = None
    ) -> bool:
        """Bring the next piece of a lane's tail in; False when the right to do so had passed to another.

        `more_from_seq` is the first place in the ledger that is not among `places`, None if there is none.
        """
        more = -1 if more_from_seq is None else more_from_seq
        piece = [flat for place in places for flat in flattened(place)]
        return bool(await self._state.run("refill", *lane_name(lane), token or lane.token, more, *piece))

    async def mark_cold(self, lanes: Sequence[Lane], *, rebuilding: bool = False) -> None:
        """Say that these lanes go on in the ledger from `from_seq`, e.g. after a rebuild brought only their heads."""
        for start in range(0, len(lanes), MAX_LANES_A_CALL):
            piece = lanes[start : start + MAX_LANES_A_CALL]
            flat = [item for lane in piece for item in (*lane_name(lane), lane.from_seq)]
            await self._state.run("mark_cold", *flat, rebuilding=rebuilding)


def texts(replies: Sequence[bytes]) -> list[str]:
    """The words or ids of a reply."""
    return [reply.decode() for reply in replies]


def flattened(place: Place) -> tuple[str | int, ...]:
    """A place as script arguments: id, agent, priority, tenant, seq, due."""
    return (
        place.id,
        keys.escaped(place.agent),
        place.priority,
        keys.escaped(place.tenant),
        place.seq,
        place.run_at_ms,
    )


def lane_name(lane: Lane) -> tuple[str, int, str]:
    """A lane as script arguments: agent, priority, tenant."""
    return keys.escaped(lane.agent), lane.priority, keys.escaped(lane.tenant)


def _lane(parts: Sequence[bytes]) -> Lane:
    agent, priority, tenant, from_seq, room, token = texts(parts)
    return Lane(keys.unescaped(agent), int(priority), keys.unescaped(tenant), int(from_seq), int(room), token)


def _flattened_ack(ack: Ack) -> tuple[str | int, ...]:
    head = (ack.task_id, repr(float(ack.slot_seconds)))
    if ack.called is not None:
        return (*head, "parked", *flattened(ack.called), 0 if ack.again is None else ack.again.run_at_ms)
    return (*head, "again", *flattened(ack.again)) if ack.again is not None else (*head, "")
