"""The doors of a test, under `/_fake/`: ask what was called, change the script, start counting again."""

from typing import Protocol

import msgspec

from dayshift.fakellm.exchange import Reply, Request, json_reply
from dayshift.fakellm.script import Script, ScriptError, read_script
from dayshift.fakellm.tally import Tally


class Commanded(Protocol):
    """What these doors command; the provider is it."""

    tally: Tally
    script: Script

    def restart(self) -> None:
        """Count from zero."""


def answer_admin(provider: Commanded, request: Request) -> Reply:
    """`GET calls`, `GET stats`, `POST script`, `POST reset`."""
    match request.method, request.path.removeprefix("/_fake/"):
        case "GET", "calls":
            return json_reply(200, {"calls": provider.tally.calls()})
        case "GET", "stats":
            return json_reply(200, provider.tally.stats())
        case "POST", "script":
            return _replace_script(provider, request.body)
        case "POST", "reset":
            provider.restart()
            return json_reply(200, provider.tally.stats())
        case _:
            doors = "GET /_fake/calls, GET /_fake/stats, POST /_fake/script, POST /_fake/reset"
            return json_reply(404, {"error": f"No such door. There are: {doors}."})


def _replace_script(provider: Commanded, body: bytes) -> Reply:
    """All of it or nothing: a script that cannot be used leaves the old one in place."""
    try:
        provider.script = read_script(msgspec.json.decode(body))
    except (msgspec.DecodeError, UnicodeDecodeError) as problem:
        return json_reply(400, {"error": f"The script is not JSON: {problem}"})
    except ScriptError as problem:
        return json_reply(422, {"error": str(problem)})
    return json_reply(200, {"replaced": True})
