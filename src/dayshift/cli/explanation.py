"""What can be told of a task that has run, from its row, its effects, and its stream as far as that is kept.

Nothing is made up. An attempt that did nothing and whose events are gone is only counted. Which effects an attempt was given
again is written down when it ends: of one whose worker died nobody knows, so an effect is called *left* only when the
latest attempt is known to have ended by itself.
"""

from collections.abc import Sequence
from datetime import datetime
from typing import Any, Literal

import msgspec
from msgspec import Struct

from dayshift.domain.effect import Difference
from dayshift.domain.task import Usage

# performed: by the latest attempt. replayed: given to it again. within: done inside of what was replayed. left: the latest
# attempt did not ask for it. recorded: by an earlier attempt, and what the latest makes of it is not known (yet).
Fate = Literal["performed", "replayed", "within", "left", "recorded"]


class Event(Struct, frozen=True):
    """One event of the task's stream."""

    name: str
    data: dict[str, Any]


class Row(Struct, kw_only=True):
    """An effect as a gateway shows it, and its fate."""

    id: str
    kind: str
    name: str
    occurrence: int
    status: str
    attempt: int
    started_at: datetime
    finished_at: datetime | None = None
    usage: Usage | None = None
    cost_usd: float = 0.0
    replayed_by: int | None = None
    key: str = ""
    scope: str = ""
    differs: Difference | None = None
    preview: str | None = None
    fate: Fate = "performed"

    @property
    def seconds(self) -> float:
        return 0.0 if self.finished_at is None else (self.finished_at - self.started_at).total_seconds()


class AttemptStory(Struct, kw_only=True):
    """One attempt, as far as it is known. `replayed` is of the latest only: how many effects it was given again."""

    attempt: int
    started_at: datetime | None = None
    worker: str | None = None
    version: str | None = None
    ended: str | None = None
    performed: int = 0
    replayed: int | None = None
    usage: Usage = Usage()


class Divergence(Struct, kw_only=True):
    """`effect` was done although `instead_of` was recorded: they differ in `part`."""

    effect: str
    instead_of: str
    part: str | None
    attempt: int
    line: str


class Explanation(Struct, kw_only=True):
    attempts: list[AttemptStory]
    effects: list[Row]
    divergences: list[Divergence]

    def as_builtins(self) -> dict[str, Any]:
        built: dict[str, Any] = msgspec.to_builtins(self)
        return built


def explanation_of(task: Any, effects: Sequence[Any], events: Sequence[Event]) -> Explanation:
    """Put together what a gateway answered."""
    rows = msgspec.convert(list(effects), list[Row])
    _tell_fates(task, rows)
    attempts = [_story(number, rows, events) for number in range(1, int(task["attempt"]) + 1)]
    if attempts and _is_closed(task, rows):
        attempts[-1].replayed = sum(row.fate == "replayed" for row in rows)
    return Explanation(attempts=attempts, effects=rows, divergences=_divergences(rows))


def _tell_fates(task: Any, rows: Sequence[Row]) -> None:
    latest, is_closed = int(task["attempt"]), _is_closed(task, rows)
    replayed = [f"{row.scope}/{row.key}" for row in rows if row.replayed_by == latest]
    for row in rows:
        if row.attempt == latest:
            row.fate = "performed"
        elif row.replayed_by == latest:
            row.fate = "replayed"
        elif any(f"{row.scope}/".startswith(f"{around}/") for around in replayed):
            row.fate = "within"
        else:
            row.fate = "left" if is_closed else "recorded"


def _is_closed(task: Any, rows: Sequence[Row]) -> bool:
    """Whether the latest attempt came to an end of its own, and so has written down what it was given again."""
    return task["status"] == "succeeded" or any(row.replayed_by == task["attempt"] for row in rows)


def _story(number: int, rows: Sequence[Row], events: Sequence[Event]) -> AttemptStory:
    done = [row for row in rows if row.attempt == number]
    story = AttemptStory(attempt=number, performed=len(done))
    for row in done:
        story.usage += row.usage or Usage()
    for event in events:
        if event.data.get("attempt") == number:
            _tell(story, event)
    is_followed = any(event.name == "task.started" and event.data.get("attempt", 0) > number for event in events)
    if story.started_at is not None and story.ended is None and is_followed:
        story.ended = "no word of its end: its worker was lost, or gave it back"
    return story


def _tell(story: AttemptStory, event: Event) -> None:
    data = event.data
    match event.name:
        case "task.started":
            story.started_at = msgspec.convert(data.get("at"), datetime | None)
            story.worker, story.version = data.get("worker"), data.get("version")
        case "task.retrying":
            story.ended = f"failed, and was to be tried again: {_error(data)}"
        case "task.waiting":
            story.ended = "parked"
        case "task.succeeded" | "task.cancelled":
            story.ended = event.name.removeprefix("task.")
        case "task.failed":
            story.ended = f"failed: {_error(data.get('task') or {})}"


def _error(data: dict[str, Any]) -> str:
    error = data.get("error") or {}
    return f"{error.get('code', 'error')}: {error.get('message', '')}".strip()


def _divergences(rows: Sequence[Row]) -> list[Divergence]:
    """Those that are proven: what was done instead of an effect that neither that attempt nor a later one asked for."""
    by_id = {row.id: row for row in rows}
    found = []
    for row in rows:
        older = by_id.get(row.differs.effect) if row.differs is not None else None
        if row.differs is None or older is None or (older.replayed_by or 0) >= row.attempt:
            continue
        line = f"{row.kind} {row.name} of attempt {row.attempt} was not found: {_difference(row.differs, older)}"
        found.append(
            Divergence(effect=row.id, instead_of=older.id, part=row.differs.part, attempt=row.attempt, line=line)
        )
    return found


def _difference(differs: Difference, older: Row) -> str:
    recorded = f"what attempt {older.attempt} had recorded"
    match differs.part:
        case None:
            return f"{recorded} is the same, and was done less often"
        case "name":
            return f"its name differs from {recorded}, {older.kind} {older.name}"
        case "place":
            return f"it is done in another step or branch than {recorded}"
        case part:
            return f"its {part} differs from {recorded}"
