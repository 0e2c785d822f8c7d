"""`dayshift explain TASK`: what its agent did, attempt by attempt, and what each of them had to do again."""

from typing import Any

from dayshift.cli.client import Gateway, Url
from dayshift.cli.explanation import Event, explanation_of
from dayshift.cli.printing import AsJson, print_json
from dayshift.cli.tasks import segment
from dayshift.domain.errors import DayshiftError


def explain(task: str, /, *, url: Url = None, as_json: AsJson = False) -> None:
    """Show one task as a waterfall: its attempts and effects, their times, tokens and costs; what was replayed, and what was
    paid for again because it differed.

    Attempts and effects come from PostgreSQL. How an attempt ended, and on which worker, is known while the task's stream
    is kept.
    """
    with Gateway(url) as gateway:
        found = gateway.get(f"/v1/tasks/{segment(task)}")
        effects = list(gateway.every(f"/v1/tasks/{segment(found['id'])}/effects"))
        events = _events(gateway, found)
    explanation = explanation_of(found, effects, events)
    if as_json:
        print_json({"task": found, **explanation.as_builtins()})
    else:
        from dayshift.cli.waterfall import print_waterfall

        print_waterfall(found, explanation)


def _events(gateway: Gateway, task: Any) -> list[Event]:
    """What the stream still keeps; it may be gone, and so may all of it."""
    try:
        return [Event(name, data) for name, data in gateway.stream_so_far(f"/v1/tasks/{task['id']}/events")]
    except DayshiftError:
        return []
