"""Turns domain events into log lines, by the rules in `lines.py`."""

import logging
from collections.abc import Callable
from typing import Any

from dayshift.domain.clock import monotonic_seconds, now
from dayshift.domain.events import Event
from dayshift.telemetry.bus import subscribe
from dayshift.telemetry.context import bound_ids
from dayshift.telemetry.lines import LINE_RULES, LineRule
from dayshift.telemetry.writer import Line

_LEVEL_NAMES = {
    logging.DEBUG: "debug",
    logging.INFO: "info",
    logging.WARNING: "warning",
    logging.ERROR: "error",
    logging.CRITICAL: "critical",
}


def level_name(level: int) -> str:
    """`info` for 20, and so on; levels between two names belong to the lower one."""
    return _LEVEL_NAMES[max((known for known in _LEVEL_NAMES if known <= level), default=logging.DEBUG)]


class Thinning:
    """Lets so many lines of a name through a second, and counts the rest until somebody asks for them."""

    def __init__(self, seconds: Callable[[], float] = monotonic_seconds) -> None:
        self._seconds = seconds
        self._second = 0
        self._let_through: dict[str, int] = {}
        self._left_out: dict[str, int] = {}

    def lets_through(self, name: str, lines_per_second: int) -> bool:
        second = int(self._seconds())
        if second != self._second:
            self._second = second
            self._let_through = {}
        count = self._let_through.get(name, 0)
        if count < lines_per_second:
            self._let_through[name] = count + 1
            return True
        self._left_out[name] = self._left_out.get(name, 0) + 1
        return False

    def left_out(self, *, at_the_end: bool = False) -> list[Line]:
        """A line for each name of which lines were left out since the last call; none while the second still runs."""
        if not self._left_out or (int(self._seconds()) == self._second and not at_the_end):
            return []
        counts, self._left_out = self._left_out, {}
        return [
            {"timestamp": now(), "level": "info", "event": "log.thinned", "name": name, "lines": count}
            for name, count in counts.items()
        ]


class EventLines:
    """Subscribes to every class of event that can reach `level`, and puts a line for each event that does."""

    def __init__(self, put: Callable[[Line], None], level: int, thinning: Thinning) -> None:
        self._put = put
        self._level = level
        self._thinning = thinning

    def subscribe(self) -> list[Callable[[], None]]:
        return [
            subscribe(event_class, self._handler(event_class, rule))
            for event_class, rule in LINE_RULES.items()
            if max(rule.levels or (rule.level,)) >= self._level
        ]

    def _handler(self, event_class: type[Event], rule: LineRule) -> Callable[[Event], None]:
        fields = rule.fields or event_class.__struct_fields__
        threshold, thinning, put = self._level, self._thinning, self._put
        plain, choose, most = (rule.level, rule.name), rule.choose, rule.lines_per_second

        def put_line(event: Event) -> None:
            level, name = choose(event) if choose is not None else plain
            if level < threshold or (most is not None and not thinning.lets_through(name, most)):
                return
            line: dict[str, Any] = {"timestamp": now(), "level": _LEVEL_NAMES[level], "event": name, **bound_ids()}
            for field in fields:
                value = getattr(event, field)
                if value is not None:
                    line[field] = value
            put(line)

        return put_line
