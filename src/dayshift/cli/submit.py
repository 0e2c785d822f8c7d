"""`dayshift submit AGENT INPUT`: hand a task over, and wait for its end if wanted."""

import sys
from pathlib import Path
from typing import Annotated, Any

from cyclopts import Parameter

from dayshift.cli.client import Gateway, Url
from dayshift.cli.printing import AsJson, json_value, print_json
from dayshift.domain import ids
from dayshift.domain.errors import WrongUse


def submit(
    agent: str,
    task_input: Annotated[str, Parameter(name="INPUT", allow_leading_hyphen=True)],
    /,
    *,
    wait: Annotated[bool, Parameter(negative="", help="Wait for the end, and print the output.")] = False,
    priority: Annotated[int | None, Parameter(help="0 to 9, higher first (5).")] = None,
    delay: Annotated[float | None, Parameter(help="Seconds from now before which it may not start.")] = None,
    timeout: Annotated[float | None, Parameter(help="Seconds that one attempt may run.")] = None,
    conversation: Annotated[
        str | None, Parameter(help="Tasks of one conversation run one at a time, in order.")
    ] = None,
    user: Annotated[str | None, Parameter(help="Your end user.")] = None,
    metadata: Annotated[str | None, Parameter(help="A JSON object that is kept with the task.")] = None,
    idempotency_key: Annotated[str | None, Parameter(help="Makes the same command safe to repeat.")] = None,
    url: Url = None,
    as_json: AsJson = False,
) -> int:
    """Submit a task to AGENT. INPUT is JSON, @FILE with JSON, or - for stdin. Prints the task's id, or with --wait its output.

    Exit status 1 if the task that was waited for did not succeed.
    """
    body = {
        "agent": agent,
        "input": input_of(task_input),
        "priority": priority,
        "delay": delay,
        "timeout": timeout,
        "conversation": conversation,
        "user": user,
        "metadata": None if metadata is None else json_value(metadata, "--metadata"),
    }
    given = {name: value for name, value in body.items() if value is not None or name == "input"}
    headers = {"Idempotency-Key": f'"{_escaped(idempotency_key or ids.new("cli_"))}"'}
    with Gateway(url) as gateway:
        task = gateway.post("/v1/tasks", given, headers=headers)
        if wait:
            task = _waited(gateway, task, quiet=as_json)
    return _report(task, wait=wait, as_json=as_json)


def _waited(gateway: Gateway, task: Any, *, quiet: bool) -> Any:
    if not quiet:
        print(task["id"], file=sys.stderr)
    return gateway.wait_for(task)


def _report(task: Any, *, wait: bool, as_json: bool) -> int:
    if as_json:
        print_json(task)
    elif not wait:
        print(task["id"])
    elif task["status"] == "succeeded":
        print_json(task["output"])
    else:
        error = task.get("error") or {}
        print(f"dayshift: {task['id']} {task['status']}: {error.get('message') or 'no reason given'}", file=sys.stderr)
    return 1 if wait and task["status"] != "succeeded" else 0


def input_of(text: str) -> Any:
    """The INPUT of a command: JSON, @FILE with JSON, or - for stdin. Raises `WrongUse`."""
    if text == "-":
        return json_value(sys.stdin.read(), "stdin")
    if not text.startswith("@"):
        return json_value(text, "INPUT")
    path = Path(text[1:])
    try:
        return json_value(path.read_text(encoding="utf-8"), str(path))
    except (OSError, UnicodeDecodeError) as error:
        reason = getattr(error, "strerror", None) or "it is not UTF-8 text"
        raise WrongUse(f"{path} cannot be read ({reason}); name a file with JSON after the @.") from error


def _escaped(key: str) -> str:
    if not key.isascii() or not key.isprintable():
        raise WrongUse("--idempotency-key must have 1 to 255 printable ASCII characters.")
    return key.replace("\\", "\\\\").replace('"', '\\"')
