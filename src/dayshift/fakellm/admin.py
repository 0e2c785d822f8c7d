"""The doors of a test, under `/_fake/`: ask what was called and served, change script, faults and limits, start counting again."""

from typing import Protocol
from urllib.parse import parse_qs

import msgspec

from dayshift.fakellm.exchange import Reply, Request, json_reply
from dayshift.fakellm.limits import LimitsError, read_limits
from dayshift.fakellm.meter import Meter
from dayshift.fakellm.script import Script, ScriptError, read_script
from dayshift.fakellm.tally import Tally


class Commanded(Protocol):
    """What these doors command; the provider is it."""

    tally: Tally
    script: Script
    faults: Script
    meter: Meter

    def restart(self) -> None:
        """Count from zero."""


def answer_admin(provider: Commanded, request: Request) -> Reply:
    """`GET calls`, `stats`, `books`; `POST script`, `faults`, `limits`, `reset`."""
    match request.method, request.path.removeprefix("/_fake/"):
        case "GET", "calls":
            return json_reply(200, {"calls": provider.tally.calls()})
        case ("GET", "stats") | ("POST", "reset"):
            if request.method == "POST":
                provider.restart()
            return json_reply(200, provider.tally.stats())
        case "GET", "books":
            return _report_books(provider, request.query)
        case "POST", "script" | "faults" as name:
            return _replace_script(provider, name, request.body)
        case "POST", "limits":
            return _replace_limits(provider, request.body)
        case _:
            doors = "GET /_fake/calls, stats, books; POST /_fake/script, faults, limits, reset"
            return json_reply(404, {"error": f"No such door. There are: {doors}."})


def _report_books(provider: Commanded, query: str) -> Reply:
    """`?from=60&to=300` in seconds since the reset: the span of sums and use."""
    try:
        given = {name: int(values[-1]) for name, values in parse_qs(query).items()}
    except ValueError as problem:
        return json_reply(400, {"error": f"from and to are whole seconds: {problem}"})
    start, end = given.get("from", 0), given.get("to")
    if start < 0 or (end is not None and end <= start):
        return json_reply(400, {"error": f"to ({end}) must be after from ({start})"})
    return json_reply(200, provider.meter.books.report(start, end))


def _replace_limits(provider: Commanded, body: bytes) -> Reply:
    """New limits begin with full buckets and empty books."""
    try:
        provider.meter.limits = read_limits(msgspec.json.decode(body))
    except (msgspec.DecodeError, UnicodeDecodeError) as problem:
        return json_reply(400, {"error": f"The limits are not JSON: {problem}"})
    except LimitsError as problem:
        return json_reply(422, {"error": str(problem)})
    provider.meter.restart()
    return json_reply(200, {"replaced": True})


def _replace_script(provider: Commanded, name: str, body: bytes) -> Reply:
    """All of it or nothing: a script that cannot be used leaves the old one in place."""
    try:
        setattr(provider, name, read_script(msgspec.json.decode(body)))
    except (msgspec.DecodeError, UnicodeDecodeError) as problem:
        return json_reply(400, {"error": f"The script is not JSON: {problem}"})
    except ScriptError as problem:
        return json_reply(422, {"error": str(problem)})
    return json_reply(200, {"replaced": True})
