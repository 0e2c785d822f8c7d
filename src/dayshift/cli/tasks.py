"""`dayshift tasks`: look at tasks, and act on them."""

from datetime import datetime
from typing import Annotated, Any

import msgspec
from cyclopts import App, Parameter

from dayshift.cli.client import Gateway, Url
from dayshift.cli.groups import WORK
from dayshift.cli.printing import AsJson, ago, print_fields, print_json, print_table
from dayshift.domain.task import TaskError, Timing

app = App(name="tasks", help="Look at tasks, cancel, retry and erase them.", group=WORK)

Limit = Annotated[int, Parameter(help="How many, up to 100.")]
After = Annotated[str | None, Parameter(help="Go on after this id.")]


class _Row(msgspec.Struct):
    """What the table shows of a task."""

    id: str
    agent: str
    status: str
    attempt: int
    created_at: datetime
    finished_at: datetime | None = None
    timing: Timing = Timing()
    error: TaskError | None = None


@app.command(name="ls")
def list_tasks(
    *,
    status: Annotated[str | None, Parameter(help="queued, running, waiting, succeeded, failed or cancelled.")] = None,
    agent: str | None = None,
    conversation: str | None = None,
    user: str | None = None,
    limit: Limit = 20,
    after: After = None,
    url: Url = None,
    as_json: AsJson = False,
) -> None:
    """List tasks, newest first."""
    with Gateway(url) as gateway:
        page = gateway.get(
            "/v1/tasks", status=status, agent=agent, conversation=conversation, user=user, limit=limit, after=after
        )
    print_tasks(page, as_json=as_json, nothing="no such tasks")


@app.command
def show(task: str, /, *, url: Url = None, as_json: AsJson = False) -> None:
    """Show one task."""
    with Gateway(url) as gateway:
        found = gateway.get(f"/v1/tasks/{segment(task)}")
    if as_json:
        print_json(found)
    else:
        print_fields((name, value) for name, value in found.items() if value not in (None, {}, []))


@app.command
def cancel(*tasks: str, url: Url = None, as_json: AsJson = False) -> None:
    """Cancel tasks; one that has ended stays as it is."""
    act_on(tasks, "cancel", url, as_json=as_json)


@app.command
def retry(*tasks: str, url: Url = None, as_json: AsJson = False) -> None:
    """Queue failed tasks (dead letters) again."""
    act_on(tasks, "retry", url, as_json=as_json)


@app.command
def erase(*tasks: str, url: Url = None) -> None:
    """Erase finished tasks with their streams, for good."""
    erase_all(tasks, url)


def act_on(tasks: tuple[str, ...], action: str, url: str | None, *, as_json: bool) -> None:
    """POST an action for each task, and tell what became of it."""
    require(tasks)
    with Gateway(url) as gateway:
        changed = []
        for task in tasks:
            changed.append(gateway.post(f"/v1/tasks/{segment(task)}/{action}"))
            if not as_json:
                print(f"{changed[-1]['id']} {changed[-1]['status']}")
    if as_json:
        print_json(changed)


def erase_all(tasks: tuple[str, ...], url: str | None) -> None:
    """DELETE each task."""
    require(tasks)
    with Gateway(url) as gateway:
        for task in tasks:
            gateway.delete(f"/v1/tasks/{segment(task)}")
            print(f"{task} erased")


def print_tasks(page: Any, *, as_json: bool, nothing: str) -> None:
    """A page of tasks."""
    if as_json:
        print_json(page)
        return
    tasks = msgspec.convert(page["data"], list[_Row])
    print_table(
        ("id", "agent", "status", "attempt", "created", "took", "error"),
        (
            (
                task.id,
                task.agent,
                task.status,
                task.attempt,
                ago(task.created_at),
                f"{task.timing.total:.2f} s" if task.finished_at else None,
                f"{task.error.code}: {task.error.message}" if task.error else None,
            )
            for task in tasks
        ),
        nothing=nothing,
    )


def segment(text: str) -> str:
    """One segment of a path."""
    from urllib.parse import quote

    return quote(text, safe="")


def require(tasks: tuple[str, ...]) -> None:
    """Refuse a command that names no task."""
    from dayshift.domain.errors import WrongUse

    if not tasks:
        raise WrongUse("Name one task or more, by id (`dayshift tasks ls` shows them).")
