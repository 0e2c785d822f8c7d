"""All that is known of one errand, and how a check says what is wrong with it."""

from collections.abc import Callable, Iterator
from typing import Any

from msgspec import Struct, field

from tests.verifier.errand import Errand
from tests.verifier.record import Entry, Event, Recorded, Sight
from tests.verifier.score import Known
from tests.verifier.witness import Mark

FINAL = frozenset({"succeeded", "failed", "cancelled"})
IN_FLIGHT = 1  # marks that a stopped process may have had on their way


class Violation(Struct, frozen=True, kw_only=True):
    """Something that must never happen. `kind` is one of KINDS; `at` says when, as far as that can be said."""

    kind: str
    label: str
    text: str
    task_id: str = ""
    at: float = 0.0


class Case(Struct, kw_only=True):
    """All that is known of one errand."""

    errand: Errand
    task_ids: set[str]
    was_cancelled: bool = False
    was_replayed: bool = False
    rows: list[dict[str, Any]] = field(default_factory=list)
    shown: dict[str, Any] | None = None
    diary: list[Entry] = field(default_factory=list)
    marks: list[Mark] = field(default_factory=list)
    sights: list[Sight] = field(default_factory=list)
    reading: list[Event] | None = None
    stream: list[Event] | None = None
    plane_lost_at: list[float] = field(default_factory=list)
    effects: list[Recorded] = field(default_factory=list)
    children: list[dict[str, Any]] = field(default_factory=list)  # rows of the tasks that it called
    known: Known = Known({}, {})

    @property
    def row(self) -> dict[str, Any]:
        return self.rows[0]

    @property
    def emitted(self) -> list[Mark]:
        """The marks that were sent in the same breath as an event, which is refused to an attempt that may not act any more.

        Calls of the provider are not: each branch of a process that was stopped may send the one that it was about to.
        """
        return [mark for mark in self.marks if mark.kind != "asked"]

    @property
    def starts(self) -> dict[int, Entry]:
        return {entry.attempt: entry for entry in self.diary if entry.status == "running"}

    @property
    def first_start(self) -> float:
        """Its place in the diary."""
        return next((entry.number for entry in self.diary if entry.status == "running"), float("inf"))

    @property
    def lost_attempts(self) -> set[int]:
        """Those that another has taken over."""
        return {entry.attempt - 1 for entry in self.diary if (entry.old_status, entry.status) == ("running", "running")}


Fault = tuple[str, str]
Check = Callable[[Case], Iterator[Fault]]
