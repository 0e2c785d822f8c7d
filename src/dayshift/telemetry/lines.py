"""Which event becomes which log line: the level, the name, and the fields that are shown.

`warning` and above need an operator's eye. `info` tells the life of processes, and of tasks only their end. What happens
to every task on its way (accepted, started, each commit, each request) is `debug`: the metrics count it, and at thousands
a second its text would cost more than the work itself. Names with a `lines_per_second` are thinned out beyond that rate:
one line a second then says how many were left out.
"""

import logging
from collections.abc import Callable
from typing import Any

from msgspec import Struct

from dayshift.domain import events as e

PER_TASK_LINES_PER_SECOND = 100


class LineRule(Struct, frozen=True, kw_only=True):
    """How events of one class are logged. `fields`: None shows all. `choose` decides level and name by the event."""

    name: str
    level: int
    fields: tuple[str, ...] | None = None
    lines_per_second: int | None = None
    choose: Callable[[Any], tuple[int, str]] | None = None
    levels: tuple[int, ...] = ()  # every level that `choose` may answer


def _finished(event: e.TaskFinished) -> tuple[int, str]:
    level = logging.WARNING if event.status == "failed" else logging.INFO
    return level, f"task.{event.status}"


def _request(event: e.HttpRequest) -> tuple[int, str]:
    return (logging.WARNING if event.status >= 500 else logging.DEBUG), "http.request"


def _process(event: e.ProcessChanged) -> tuple[int, str]:
    return (logging.ERROR if event.change == "died" else logging.INFO), f"process.{event.change}"


def _plane_lost(event: e.PlaneLost) -> tuple[int, str]:
    """On a fresh folder nothing was lost: the first epoch is only made."""
    return (logging.INFO, "plane.empty") if event.epoch == 1 else (logging.WARNING, "plane.lost")


def _lost(event: e.TaskLost) -> tuple[int, str]:
    return (logging.ERROR, "task.poisoned") if event.poisoned else (logging.WARNING, "task.lost")


def _tool_breaker(event: e.ToolBreakerChanged) -> tuple[int, str]:
    return (logging.WARNING if event.state == "open" else logging.INFO), "tool.breaker"


def _breaker(event: e.BreakerChanged) -> tuple[int, str]:
    return (logging.WARNING if event.state == "open" else logging.INFO), "llm.breaker"


_DEBUG, _INFO, _WARNING, _ERROR = logging.DEBUG, logging.INFO, logging.WARNING, logging.ERROR

LINE_RULES: dict[type[e.Event], LineRule] = {
    e.TaskAccepted: LineRule(name="task.accepted", level=_DEBUG),
    e.TaskStarted: LineRule(name="task.started", level=_DEBUG),
    e.EffectsEnded: LineRule(name="effects.ended", level=_DEBUG),
    e.LlmCallEnded: LineRule(name="llm.call", level=_DEBUG),
    e.Diverged: LineRule(name="effect.diverged", level=_WARNING, lines_per_second=PER_TASK_LINES_PER_SECOND),
    e.CallNotCaptured: LineRule(name="llm.not_captured", level=_WARNING),
    e.LlmLimitUsed: LineRule(name="llm.limit_used", level=_DEBUG),
    e.LlmLimitWaited: LineRule(name="llm.limit_waited", level=_DEBUG),
    e.LlmDegraded: LineRule(name="llm.degraded", level=_WARNING, lines_per_second=PER_TASK_LINES_PER_SECOND),
    e.ToolBreakerChanged: LineRule(name="tool.breaker", level=_WARNING, choose=_tool_breaker, levels=(_INFO, _WARNING)),
    e.WebhookDelivery: LineRule(name="webhook.delivery", level=_DEBUG),
    e.BreakerChanged: LineRule(name="llm.breaker", level=_WARNING, choose=_breaker, levels=(_INFO, _WARNING)),
    e.TaskFinished: LineRule(
        name="task.finished",
        level=_INFO,
        lines_per_second=PER_TASK_LINES_PER_SECOND,
        choose=_finished,
        levels=(_INFO, _WARNING),
    ),
    e.TaskRetrying: LineRule(name="task.retrying", level=_WARNING, lines_per_second=PER_TASK_LINES_PER_SECOND),
    e.TaskParked: LineRule(name="task.parked", level=_INFO, lines_per_second=PER_TASK_LINES_PER_SECOND),
    e.TaskGivenBack: LineRule(name="task.given_back", level=_INFO, lines_per_second=PER_TASK_LINES_PER_SECOND),
    e.TaskLost: LineRule(
        name="task.lost",
        level=_WARNING,
        lines_per_second=PER_TASK_LINES_PER_SECOND,
        choose=_lost,
        levels=(_WARNING, _ERROR),
    ),
    e.AttemptSuperseded: LineRule(
        name="attempt.superseded", level=_WARNING, lines_per_second=PER_TASK_LINES_PER_SECOND
    ),
    e.StartRefused: LineRule(name="start.refused", level=_DEBUG),
    e.WorkerReady: LineRule(name="worker.ready", level=_INFO),
    e.WorkerDraining: LineRule(name="worker.draining", level=_INFO),
    e.WorkerStopped: LineRule(name="worker.stopped", level=_INFO),
    e.WorkerDead: LineRule(name="worker.dead", level=_ERROR),
    e.WorkerSlots: LineRule(name="worker.slots", level=_DEBUG),
    e.LeaseLost: LineRule(name="lease.lost", level=_ERROR),
    e.LoopBlocked: LineRule(name="loop.blocked", level=_WARNING),
    e.LoopLag: LineRule(name="loop.lag", level=_DEBUG),
    e.LedgerCommit: LineRule(name="ledger.commit", level=_DEBUG),
    e.DependencyLost: LineRule(name="dependency.lost", level=_ERROR),
    e.DependencyBack: LineRule(name="dependency.back", level=_INFO),
    e.PlaneLost: LineRule(name="plane.lost", level=_WARNING, choose=_plane_lost, levels=(_INFO, _WARNING)),
    e.PlaneRebuilt: LineRule(name="plane.rebuilt", level=_INFO),
    e.DepthMeasured: LineRule(name="queue.depth", level=_DEBUG),
    e.TasksStranded: LineRule(name="tasks.stranded", level=_WARNING),
    e.DueTimesSkipped: LineRule(name="schedule.skipped", level=_WARNING),
    e.ScheduleRefused: LineRule(name="schedule.refused", level=_WARNING, lines_per_second=PER_TASK_LINES_PER_SECOND),
    e.HttpRequest: LineRule(
        name="http.request",
        level=_DEBUG,
        lines_per_second=PER_TASK_LINES_PER_SECOND,
        choose=_request,
        levels=(_DEBUG, _WARNING),
    ),
    e.SettingsChanged: LineRule(name="settings.changed", level=_INFO),
    e.Fault: LineRule(name="fault", level=_ERROR, lines_per_second=PER_TASK_LINES_PER_SECOND),
    e.ProcessChanged: LineRule(name="process.changed", level=_INFO, choose=_process, levels=(_INFO, _ERROR)),
    e.Note: LineRule(name="note", level=_INFO),
}
