"""docs/reference/http.md against the code: the events of a stream and the fields of an effect."""

import json
import re
from pathlib import Path

import msgspec
import pytest
from tests.gateway.reference import PAGE, page

from dayshift.domain import stream
from dayshift.domain.clock import now
from dayshift.domain.task import Status, Task, TaskError, WaitingFor
from dayshift.gateway.effects import EffectView
from dayshift.tasks import events

REFERENCE = (Path(__file__).parents[2] / "docs" / "reference" / "http.md").read_text()
TYPES = {value for name, value in vars(stream).items() if name.isupper() and isinstance(value, str)}
OF_ATTEMPTS = {
    stream.AGENT_EVENT,
    stream.LLM_DELTA,
    stream.LLM_RESTARTED,
    stream.EFFECT_FINISHED,
}  # see worker/emitting.py
OF_EVERY_EVENT = {"task_id", "attempt", "at"}


def rows() -> dict[str, set[str]]:
    """The table of events: the fields that each has."""
    section = REFERENCE.partition("\n## Events\n")[2].partition("\n## ")[0]
    found = re.findall(r"^\| `([a-z.]+)` \| (.*?) \|", section, re.MULTILINE)
    return {event: set(re.findall(r"`(\w+)`", fields)) for event, fields in found}


def task(status: Status) -> Task:
    return Task(
        id="task_1",
        agent="a",
        status=status,
        tenant="acme",
        queue="default",
        input=msgspec.Raw(b"{}"),
        created_at=now(),
        run_at=now(),
    )


EVENTS = [
    events.queued("task_1", 1, "default"),
    events.started("task_1", 1, "worker_1", "v1"),
    events.waiting("task_1", 1, WaitingFor(type="time", name="", id="1", until=now())),
    events.retrying("task_1", 1, TaskError("agent_error", "no"), now()),
    events.snapshot(task(Status.RUNNING)),
    *(events.final(task(status)) for status in (Status.SUCCEEDED, Status.FAILED, Status.CANCELLED)),
]


def test_every_type_of_event_is_told_and_none_that_is_not():
    assert rows().keys() == TYPES
    assert {event.type for event in EVENTS} | OF_ATTEMPTS == TYPES


@pytest.mark.parametrize("event", EVENTS, ids=lambda event: event.type)
def test_the_fields_of_an_event_are_those_that_are_told(event):
    assert json.loads(event.data).keys() - OF_EVERY_EVENT == rows()[event.type]


def test_what_an_attempt_tells_has_its_own_fields():
    assert rows()[stream.AGENT_EVENT] == {"name"}
    assert rows()[stream.LLM_DELTA] == {"call", "text"}
    assert rows()[stream.LLM_RESTARTED] == {"call"}
    assert rows()[stream.EFFECT_FINISHED] == {"effect"}


def test_every_field_of_an_effect_is_told_in_its_order():
    (line,) = [line for line in REFERENCE.splitlines() if line.startswith("| `GET /v1/tasks/{id}/effects` |")]
    told = re.search(r"`\{(.*?)\}`", line)
    assert told is not None
    assert [name.removesuffix("?") for name in told[1].split(", ")] == list(EffectView.__struct_fields__)


def test_the_page_of_the_openapi_document_is_up_to_date():
    assert PAGE.read_text() == page(), "write it anew: python -m tests.gateway.reference"
