"""`dayshift schedules`: tasks that are made when their time has come."""

from dataclasses import asdict, dataclass, replace
from datetime import datetime
from typing import Annotated, Any, Literal

import msgspec
from cyclopts import App, Parameter

from dayshift.cli.client import Gateway, Url
from dayshift.cli.groups import WORK
from dayshift.cli.printing import AsJson, json_value, print_fields, print_json, print_table
from dayshift.cli.submit import input_of
from dayshift.cli.tasks import After, Limit, segment
from dayshift.domain import ids
from dayshift.domain.errors import WrongUse
from dayshift.domain.schedules import CatchUp

app = App(name="schedules", help="Make tasks by the clock, at intervals, or once.", group=WORK)

WHERE = "/v1/schedules"


class _Row(msgspec.Struct):
    """What the table shows of a schedule."""

    id: str
    name: str
    status: str
    task: dict[str, Any]
    cron: str | None = None
    time_zone: str | None = None
    every: int | None = None
    at: datetime | None = None
    next_at: datetime | None = None
    last_due_at: datetime | None = None
    last_error: dict[str, Any] | None = None

    @property
    def when(self) -> str:
        if self.cron is not None:
            return f"{self.cron} ({self.time_zone})"
        return f"every {self.every} s" if self.every is not None else "once"


@Parameter(name="*")
@dataclass(frozen=True, kw_only=True)
class TimesSaid:
    """When its tasks are due, as far as the command says so."""

    cron: Annotated[
        str | None, Parameter(help="When a clock shows it: '30 7 * * MON-FRI' (minute, hour, day, month, day of week).")
    ] = None
    time_zone: Annotated[str | None, Parameter(help="The zone of that clock, as Europe/Berlin (UTC).")] = None
    every: Annotated[int | None, Parameter(help="Each so many seconds.")] = None
    start_at: Annotated[
        datetime | None, Parameter(help="When --every begins, as 2027-01-31T12:00:00+00:00 (one interval from now).")
    ] = None
    at: Annotated[
        datetime | None, Parameter(help="Once, as 2027-01-31T12:00:00+00:00; without a zone it is this machine's.")
    ] = None
    catch_up: Annotated[
        CatchUp | None, Parameter(help="What becomes of due times that were missed: skip, one or all (one).")
    ] = None

    def fields(self) -> dict[str, Any]:
        said = replace(self, start_at=_aware(self.start_at), at=_aware(self.at))
        return _given(asdict(said))


@Parameter(name="*")
@dataclass(frozen=True, kw_only=True)
class TaskSaid:
    """What its tasks are, beside agent and input, as far as the command says so."""

    priority: Annotated[int | None, Parameter(help="0 to 9, higher first (5).")] = None
    timeout: Annotated[float | None, Parameter(help="Seconds that one attempt may run.")] = None
    conversation: Annotated[str | None, Parameter(help="Tasks of one conversation run one at a time, in order.")] = None
    user: Annotated[str | None, Parameter(help="Your end user.")] = None
    metadata: Annotated[str | None, Parameter(help="A JSON object that is kept with each task.")] = None

    def fields(self) -> dict[str, Any]:
        metadata = None if self.metadata is None else json_value(self.metadata, "--metadata")
        return _given({**asdict(self), "metadata": metadata})


@app.command
def create(
    name: str,
    agent: str,
    task_input: Annotated[str, Parameter(name="INPUT", allow_leading_hyphen=True)] = "{}",
    /,
    *,
    times: TimesSaid = TimesSaid(),
    task: TaskSaid = TaskSaid(),
    url: Url = None,
    as_json: AsJson = False,
) -> None:
    """Make a schedule NAME of tasks for AGENT, by --cron, --every or --at. INPUT is JSON, @FILE with JSON, or - for stdin.

    Prints the schedule's id.
    """
    wanted = {"agent": agent, "input": input_of(task_input), **task.fields()}
    with Gateway(url) as gateway:
        made = gateway.post(WHERE, {"name": name, "task": wanted, **times.fields()})
    print_json(made) if as_json else print(made["id"])


@app.command
def edit(
    schedule: str,
    /,
    *,
    name: Annotated[str | None, Parameter(help="Its new name.")] = None,
    times: TimesSaid = TimesSaid(),
    agent: Annotated[str | None, Parameter(help="Whose tasks it makes.")] = None,
    task_input: Annotated[
        str | None,
        Parameter(
            name="--input", allow_leading_hyphen=True, help="Their input: JSON, @FILE with JSON, or - for stdin."
        ),
    ] = None,
    task: TaskSaid = TaskSaid(),
    url: Url = None,
    as_json: AsJson = False,
) -> None:
    """Change what is given of a schedule; the rest stays. Other times count from now on."""
    changed = {**_given({"name": name}), **times.fields()}
    changed_task = {**_given({"agent": agent}), **task.fields()}
    if task_input is not None:
        changed_task["input"] = input_of(task_input)
    if not changed and not changed_task:
        raise WrongUse("Say what to change, as in `dayshift schedules edit ID --every 60`.")
    where = f"{WHERE}/{segment(schedule)}"
    with Gateway(url) as gateway:
        if changed_task:
            changed["task"] = {**gateway.get(where)["task"], **changed_task}
        edited = gateway.patch(where, changed)
    print_json(edited) if as_json else print(f"{edited['id']} {edited['status']}")


@app.command(name="ls")
def list_schedules(*, limit: Limit = 20, after: After = None, url: Url = None, as_json: AsJson = False) -> None:
    """List schedules, newest first."""
    with Gateway(url) as gateway:
        page = gateway.get(WHERE, limit=limit, after=after)
    if as_json:
        print_json(page)
        return
    print_table(
        ("id", "name", "agent", "status", "when", "next", "last", "error"),
        (
            (
                one.id,
                one.name,
                one.task["agent"],
                one.status,
                one.when,
                one.next_at,
                one.last_due_at,
                f"{one.last_error['code']}: {one.last_error['message']}" if one.last_error else None,
            )
            for one in msgspec.convert(page["data"], list[_Row])
        ),
        nothing="no schedules; make one with `dayshift schedules create`",
    )


@app.command
def show(schedule: str, /, *, url: Url = None, as_json: AsJson = False) -> None:
    """Show one schedule."""
    with Gateway(url) as gateway:
        found = gateway.get(f"{WHERE}/{segment(schedule)}")
    if as_json:
        print_json(found)
    else:
        print_fields((name, value) for name, value in found.items() if value not in (None, {}, []))


@app.command
def pause(*schedules: str, url: Url = None, as_json: AsJson = False) -> None:
    """Pause schedules: nothing is due until they are resumed."""
    _act_on(schedules, "pause", url, as_json=as_json)


@app.command
def resume(*schedules: str, url: Url = None, as_json: AsJson = False) -> None:
    """Resume schedules; what was due meanwhile becomes no task."""
    _act_on(schedules, "resume", url, as_json=as_json)


@app.command
def trigger(schedule: str, /, *, url: Url = None, as_json: AsJson = False) -> None:
    """Submit a schedule's task now, and print the task's id."""
    with Gateway(url) as gateway:
        task = gateway.post(f"{WHERE}/{segment(schedule)}/trigger", headers={"Idempotency-Key": f'"{ids.new("cli_")}"'})
    print_json(task) if as_json else print(task["id"])


@app.command
def delete(*schedules: str, url: Url = None) -> None:
    """Delete schedules; their tasks stay."""
    _require(schedules)
    with Gateway(url) as gateway:
        for schedule in schedules:
            gateway.delete(f"{WHERE}/{segment(schedule)}")
            print(f"{schedule} deleted")


def _act_on(schedules: tuple[str, ...], action: Literal["pause", "resume"], url: str | None, *, as_json: bool) -> None:
    _require(schedules)
    with Gateway(url) as gateway:
        changed = []
        for schedule in schedules:
            changed.append(gateway.post(f"{WHERE}/{segment(schedule)}/{action}"))
            if not as_json:
                print(f"{changed[-1]['id']} {changed[-1]['status']}")
    if as_json:
        print_json(changed)


def _require(schedules: tuple[str, ...]) -> None:
    if not schedules:
        raise WrongUse("Name one schedule or more, by id (`dayshift schedules ls` shows them).")


def _aware(moment: datetime | None) -> datetime | None:
    return moment if moment is None or moment.tzinfo else moment.astimezone()


def _given(fields: dict[str, Any]) -> dict[str, Any]:
    return {field: value for field, value in fields.items() if value is not None}
