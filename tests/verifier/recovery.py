"""How long it took after each fault until its harm was undone. Three measures, each from what was written down:

reentry   a process with attempts was killed, frozen, cut off or replaced: from the blow until the last of the attempts
          that it held then, and did not end itself, was started again
flow      a plane was hit: from the moment that it was whole again (from the blow, if nothing needs healing) until a
          task ended that was accepted after that moment
door      a gateway was hit: likewise, until a request was answered that was sent to its door after that moment

Where an engine was in trouble of its own at that time, the recovery says more about that one: the *undisturbed* are the rest.
"""

import math
from bisect import bisect_right
from collections import defaultdict

from msgspec import Struct

from tests.verifier.record import Entry, Hit, Record

SETTLE_SECONDS = 2.0  # of an engine that is back
MEASURES = {
    **dict.fromkeys(("worker", "lone-worker", "machine", "supervisor"), "reentry"),
    **dict.fromkeys(("gateway", "lone-gateway", "door"), "door"),
}


class Recovery(Struct, frozen=True, kw_only=True):
    """Of one kind of fault; `None` where none was undisturbed."""

    kind: str
    measure: str
    count: int
    p50_seconds: float
    p99_seconds: float
    undisturbed_count: int
    undisturbed_p50_seconds: float | None
    undisturbed_p99_seconds: float | None


def recoveries_of(record: Record) -> list[Recovery]:
    """By kind of fault; those that had nothing to recover from (an idle worker) are left out."""
    watch = _Watch(record)
    seconds: dict[tuple[str, str], list[tuple[float, bool]]] = defaultdict(list)
    for hit in record.hits:
        measure = MEASURES.get(hit.kind.partition(".")[0], "flow")
        took = getattr(watch, measure)(hit)
        if took is not None:
            seconds[hit.kind, measure].append((took, _is_disturbed(hit, took, record.hits)))
    return [_summed_up(kind, measure, found) for (kind, measure), found in sorted(seconds.items())]


def _is_disturbed(hit: Hit, took: float, hits: list[Hit]) -> bool:
    """Whether another fault, of an engine, reached into its time."""
    until = max(hit.over_at, hit.began_at) + took
    engines = (other for other in hits if other is not hit and other.cuts and not other.pids)
    return any(other.began_at < until and other.healed_at + SETTLE_SECONDS > hit.began_at for other in engines)


def _summed_up(kind: str, measure: str, found: list[tuple[float, bool]]) -> Recovery:
    every = [took for took, _ in found]
    undisturbed = [took for took, is_disturbed in found if not is_disturbed]
    return Recovery(
        kind=kind,
        measure=measure,
        count=len(every),
        p50_seconds=percentile(every, 0.5),
        p99_seconds=percentile(every, 0.99),
        undisturbed_count=len(undisturbed),
        undisturbed_p50_seconds=percentile(undisturbed, 0.5) if undisturbed else None,
        undisturbed_p99_seconds=percentile(undisturbed, 0.99) if undisturbed else None,
    )


def percentile(values: list[float], share: float) -> float:
    """The smallest value that at least that share of them does not exceed."""
    ranked = sorted(values)
    return ranked[max(0, math.ceil(share * len(ranked)) - 1)]


class _Watch:
    """The record, ready for questions about moments."""

    def __init__(self, record: Record) -> None:
        self._held = _holdings(record.diary)
        lives = sorted((row["created_at"], row["finished_at"]) for row in record.rows if row["finished_at"])
        self._accepted = [created for created, _ in lives]
        self._first_end = _suffix_minimum([finished for _, finished in lives])
        self._answers: dict[int, tuple[list[float], list[float]]] = {}
        by_door = defaultdict(list)
        for answer in record.answers:
            if answer.status in {200, 202}:
                by_door[answer.door].append((answer.sent_at, answer.answered_at))
        for door, pairs in by_door.items():
            pairs.sort()
            self._answers[door] = [sent for sent, _ in pairs], _suffix_minimum([answered for _, answered in pairs])

    def reentry(self, hit: Hit) -> float | None:
        """Until everything that its processes held, and did not end themselves, has been taken up again."""
        again = [again for pid in hit.pids for since, again in self._held[pid] if since <= hit.began_at < again]
        return max(again) - hit.began_at if again else None

    def flow(self, hit: Hit) -> float | None:
        return _first_after(self._accepted, self._first_end, hit.over_at)

    def door(self, hit: Hit) -> float | None:
        took = [_first_after(*self._answers[door], hit.over_at) for door in hit.doors if door in self._answers]
        known = [seconds for seconds in took if seconds is not None]
        return max(known) if known else None


def _holdings(diary: list[Entry]) -> dict[int, list[tuple[float, float]]]:
    """For each process: when it started each attempt that it did not end itself, and when the next one was started."""
    held: dict[int, list[tuple[float, float]]] = defaultdict(list)
    cut_short: dict[str, Entry] = {}
    for entry in diary:
        start = cut_short.get(entry.task_id)
        if entry.status == "running":
            if start is not None and start.pid is not None:
                held[start.pid].append((start.at, entry.at))
            cut_short[entry.task_id] = entry
        elif start is not None and (entry.status != "queued" or entry.failures > start.failures):
            del cut_short[entry.task_id]  # it ended, or it failed: not the fault's doing
    return held


def _suffix_minimum(values: list[float]) -> list[float]:
    for index in range(len(values) - 2, -1, -1):
        values[index] = min(values[index], values[index + 1])
    return values


def _first_after(begins: list[float], first_ends: list[float], moment: float) -> float | None:
    index = bisect_right(begins, moment)
    return first_ends[index] - moment if index < len(begins) else None
