"""`dayshift dead`: failed tasks, which nobody tries again but a person."""

from typing import Annotated

from cyclopts import App, Parameter

from dayshift.cli.client import Gateway, Url
from dayshift.cli.groups import WORK
from dayshift.cli.printing import AsJson
from dayshift.cli.tasks import After, Limit, act_on, erase_all, print_tasks
from dayshift.domain.errors import WrongUse

app = App(name="dead", help="Look at dead letters, replay and drop them.", group=WORK)

All = Annotated[bool, Parameter(name="--all", negative="", help="Every dead letter of your tenant.")]


@app.command(name="ls")
def list_dead(*, limit: Limit = 20, after: After = None, url: Url = None, as_json: AsJson = False) -> None:
    """List dead letters, newest first, and why they failed."""
    with Gateway(url) as gateway:
        page = gateway.get("/v1/dead", limit=limit, after=after)
    print_tasks(page, as_json=as_json, nothing="no dead letters")


@app.command
def replay(*tasks: str, every: All = False, url: Url = None, as_json: AsJson = False) -> None:
    """Queue dead letters again."""
    chosen = _chosen(tasks, url, every=every)
    if chosen:
        act_on(chosen, "retry", url, as_json=as_json)


@app.command
def drop(*tasks: str, every: All = False, url: Url = None) -> None:
    """Erase dead letters for good."""
    chosen = _chosen(tasks, url, every=every)
    if chosen:
        erase_all(chosen, url)


def _chosen(tasks: tuple[str, ...], url: str | None, *, every: bool) -> tuple[str, ...]:
    if every == bool(tasks):
        raise WrongUse("Name dead letters by id (`dayshift dead ls` shows them), or give --all.")
    if tasks:
        return tasks
    with Gateway(url) as gateway:
        return tuple(task["id"] for task in gateway.every("/v1/dead"))
