"""All that was written down in one run. Everything that is judged afterwards is judged from this alone.

From outside: every answer that a client got, every sight of a task, every stream as it was read. From inside: the rows of
the ledger, its diary, and the witness's marks. Times are of this machine's wall clock, in seconds, as the ledger's are.
"""

from collections import defaultdict
from datetime import datetime
from typing import Any

from msgspec import Struct, field

from tests.verifier.errand import Errand, Program
from tests.verifier.witness import Mark


class Answer(Struct, frozen=True, kw_only=True):
    """One request and what came of it. `status` 0: no answer, and `trouble` says how."""

    sent_at: float
    answered_at: float
    door: int
    what: str
    label: str
    status: int
    trouble: str = ""
    detail: str = ""


class Sight(Struct, frozen=True, kw_only=True):
    """A task as some answer showed it."""

    at: float
    via: str
    label: str
    task: dict[str, Any]


class Event(Struct, frozen=True, kw_only=True):
    """One event of a stream, as a client read it."""

    number: int
    type: str
    data: dict[str, Any]


class Recorded(Struct, frozen=True, kw_only=True):
    """A row of the journal. `word` is what it says, if its result is one (score.py)."""

    task_id: str
    id: str
    kind: str
    name: str
    status: str
    attempt: int
    replayed_by: int | None = None
    word: str | None = None


class Entry(Struct, frozen=True, kw_only=True):
    """One change of a task's row, as the ledger's diary has it. `pid` is that of the worker who holds it now, or held it."""

    number: int
    at: float
    task_id: str
    old_status: str | None
    status: str
    attempt: int
    failures: int
    losses: int
    seq: int
    old_pid: int | None
    pid: int | None
    quarantined: bool = False


LEDGER, PLANE = "ledger", "plane"


class Hit(Struct, kw_only=True):
    """A fault as it happened. Recovery counts from `over_at`: the blow itself, for a fault that does not last.

    `healed_at` is later when somebody else must act first: a killed gateway's door is healed once its successor serves.

    `pids`: the processes that it hit, or that it cut off from the planes in `cuts`; without pids, a plane in `cuts` was
    away for everybody. `doors`: those where requests may have had no answer.
    """

    number: int = 0
    kind: str = ""
    began_at: float = 0.0
    over_at: float = 0.0
    healed_at: float = 0.0
    pids: tuple[int, ...] = ()
    cuts: tuple[str, ...] = ()
    doors: tuple[int, ...] = ()
    detail: str = ""


class Record(Struct, kw_only=True):
    """The whole run. Filled by the player and the driver while it goes on, completed by them when it is over."""

    programs: list[Program] = field(default_factory=list)
    answers: list[Answer] = field(default_factory=list)
    sights: list[Sight] = field(default_factory=list)
    readings: dict[str, list[Event]] = field(default_factory=dict)  # as followed live, with hang-ups
    streams: dict[str, list[Event]] = field(default_factory=dict)  # as read once more at the end
    task_ids: dict[str, set[str]] = field(default_factory=lambda: defaultdict(set))
    cancelled: set[str] = field(default_factory=set)
    replayed: set[str] = field(default_factory=set)
    unplayed: dict[str, str] = field(default_factory=dict)  # programs that broke off, and why
    unrecovered: list[str] = field(default_factory=list)  # faults after which something did not stand up again
    hits: list[Hit] = field(default_factory=list)
    marks: list[Mark] = field(default_factory=list)
    rows: list[dict[str, Any]] = field(default_factory=list)
    shown: dict[str, dict[str, Any]] = field(default_factory=dict)  # by task id, over HTTP at the end
    diary: list[Entry] = field(default_factory=list)
    effects: list[Recorded] = field(default_factory=list)
    answered: dict[str, int] = field(default_factory=dict)  # how often the provider answered, by place
    histories: dict[str, list[str]] = field(default_factory=dict)  # what conversations hold at the end, over HTTP
    conversations_unfinished: int = 0

    @property
    def errands(self) -> dict[str, Errand]:
        """By label: those of the programs, and those that they call."""
        asked_for = [errand for program in self.programs for errand in program.errands]
        return {errand.label: errand for asked in asked_for for errand in asked.family()}


def seconds_of(moment: datetime) -> float:
    return moment.timestamp()


def grouped(items: list[Any], key: str) -> dict[str, list[Any]]:
    """Those items by one of their fields, each group in the order that it came."""
    groups: dict[str, list[Any]] = defaultdict(list)
    for item in items:
        groups[getattr(item, key)].append(item)
    return groups
