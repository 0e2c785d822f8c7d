"""Writes docs/reference/settings.md from the types of the settings themselves: python -m tests.settings.reference"""

import types
import typing
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import msgspec
from msgspec import Struct

from dayshift.domain import settings
from dayshift.domain.settings import Settings

PAGE = Path(__file__).parents[2] / "docs" / "reference" / "settings.md"

MEANINGS = {
    "queues.NAME.max_depth": "Unfinished tasks that a queue takes; more are refused with 429",
    "queues.NAME.paused": "Nothing of this queue is started; what runs goes on, and tasks are accepted",
    "tenants.NAME.weight": "The tenant's share of slots, against the others' that have work",
    "tenants.NAME.limits.requests_per_minute": "Stored and validated; in force with a later release",
    "tenants.NAME.limits.requests_per_day": "Stored and validated; in force with a later release",
    "tenants.NAME.user_limits.requests_per_minute": "Stored and validated; in force with a later release",
    "tenants.NAME.user_limits.requests_per_day": "Stored and validated; in force with a later release",
    "tenants.NAME.concurrent": "Tasks of the tenant that may run at once; unset: as many as there are slots",
    "tenants.NAME.max_queued": "Unfinished tasks of the tenant; more are refused with 429",
    "tenants.NAME.flags.NAME": "Any JSON: what `ctx.flag(NAME)` is for this tenant's tasks, whatever `flags.NAME` says",
    "agents.NAME.enabled": "Whether tasks of this agent are started; accepted they are in any case",
    "agents.NAME.concurrency": "Tasks of the agent that may run at once, over all workers",
    "agents.NAME.timeout": "Seconds that one attempt may run; wins over the code's",
    "agents.NAME.max_attempts": "Failures until a task is a dead letter; wins over the code's",
    "flags.NAME.value": "Any JSON: what `ctx.flag(NAME)` is",
    "flags.NAME.percent": "For so many percent of the tasks; the others have their code's default. A task stays on its side",
    "gateway.max_body_bytes": "The largest request body; more is 413",
    "gateway.default_agent": "The agent that doors without a name for it use",
    "journal.preview_characters": "How many characters of what was asked are kept with each effect that begins from then on, without secrets (0 to 2,000)",
    "retention.tasks": "How long a finished task is kept, from its end; dead letters stay until they are dropped",
    "retention.conversations": "How long the history of a conversation is kept in which no task comes or goes; null: until it is erased",
    "retention.events": "How long a finished task's stream is kept, from its end (at most the last 50,000 finished ones)",
}

HEAD = """\
# Settings

What can change while dayshift runs. A change is in force in every process within a second, without a restart and without
a failed task: each polls one version number a second, and reads a new snapshot when it has risen.

```sh
dayshift config set tenants.acme.weight 3 --why "they pay more"
dayshift config get tenants.acme            # what is set there; where nothing is set, the default
dayshift config history
dayshift config diff 4                      # from version 4 until now
dayshift config rollback 4                  # as a new version
```

The same over HTTP, with a key of scope `admin`: `GET`, `PUT {value, why?}` and `DELETE /v1/settings/PATH`,
`GET /v1/settings/history`.

- **Paths** are names joined by dots. A name that holds a dot, a space or a double quote stands in double quotes, as a JSON
  string: `tenants."acme.com".weight`. `*` is the section for all tenants that have none of their own.
- **Values** are JSON. What results from a change is validated as a whole; a change that does not fit is refused whole, with the path
  and the reason of each fault, and so are names that do not exist.
- **Versions** are append-only: who, when, why. A change may be conditional: `--if-version N` (HTTP: `If-Match: N`) holds if
  nothing at, above or below its path has changed since version N, so people who change different settings never
  collide. Else `version_mismatch`: exit status 1, HTTP 412.
- **Sections** `providers`, `models`, `alerts`, `webhooks` and budgets come with later releases, and are refused until then.
- A setting that a newer release stored and this one does not know is left out, and the log says so.

| path | value | default | meaning |
|---|---|---|---|
"""


def page() -> str:
    """The whole page."""
    rows = "".join(
        f"| `{path}` | {kind} | {_default(default)} | {MEANINGS[path]} |\n" for path, kind, default in leaves()
    )
    return HEAD + rows


def leaves(struct: type[Struct] = Settings, prefix: str = "") -> Iterator[tuple[str, str, Any]]:
    """Every innermost setting: path, kind, default."""
    fields = {field.name: field for field in msgspec.structs.fields(struct)}
    for name, declared in typing.get_type_hints(struct, include_extras=True).items():
        is_named = typing.get_origin(declared) is dict
        hint = typing.get_args(declared)[1] if is_named else declared
        path = f"{prefix}{name}.NAME" if is_named else f"{prefix}{name}"
        if isinstance(hint, type) and issubclass(hint, Struct):
            yield from leaves(hint, f"{path}.")
        else:
            default = fields[name].default
            yield path, _kind(hint), None if default is msgspec.NODEFAULT else default


def _kind(hint: Any) -> str:
    if typing.get_origin(hint) in (typing.Union, types.UnionType):
        return " or ".join(_kind(option) for option in typing.get_args(hint))
    if typing.get_origin(hint) is typing.Annotated:
        return _limited(hint)
    return {bool: "true or false", str: "text", Any: "any JSON", types.NoneType: "null"}[hint]


def _limited(hint: Any) -> str:
    if hint == typing.get_type_hints(settings.RetentionSettings, include_extras=True)["tasks"]:
        return "a duration: `30d`, `12h`, `90m`, `45s`"
    plain, meta = typing.get_args(hint)
    word = "a whole number" if plain is int else "a number"
    lower = f"from {meta.ge}" if meta.ge is not None else f"above {meta.gt},"
    return f"{word} {lower}" + (f" to {meta.le}" if meta.le is not None else "")


def _default(value: Any) -> str:
    return "-" if value is None else f"`{msgspec.json.encode(value).decode()}`"


if __name__ == "__main__":
    PAGE.write_text(page())
