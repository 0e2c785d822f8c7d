"""Writes docs/reference/settings.md from the types of the settings themselves: python -m tests.settings.reference"""

import types
import typing
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import msgspec
from msgspec import Meta, Struct

from dayshift.domain import provider_settings, settings
from dayshift.domain.settings import Settings

PAGE = Path(__file__).parents[2] / "docs" / "reference" / "settings.md"

MEANINGS = {
    "providers.NAME.format": "Which API it speaks; a provider of your own needs it. `openai` and `anthropic` are there from the start",
    "providers.NAME.base_url": "Where it is, as its SDK takes it; a provider of your own needs it",
    "providers.NAME.api_key": "The environment variable with its key, or several, whose limits are pooled; null: what the agent's client sends",
    **{
        f"providers.NAME.{limits}.{name}": f"{what}{whose}"
        for limits, whose in (
            ("limits", ", of each key"),
            ("model_limits.NAME", ", of this model, which leaves the others' alone"),
        )
        for name, what in {
            "requests_per_minute": "Requests a minute",
            "tokens_per_minute": "Tokens a minute, input and output together",
            "input_tokens_per_minute": "Input tokens a minute",
            "output_tokens_per_minute": "Output tokens a minute",
            "concurrent": "Calls at once",
            "window": "No span of so many seconds gets more than its share of the limits above",
        }.items()
    },
    "providers.NAME.timeouts.connect": "Seconds until there is a connection",
    "providers.NAME.timeouts.first_token": "Seconds until a stream says something",
    "providers.NAME.timeouts.idle": "Seconds between two pieces of a stream",
    "providers.NAME.timeouts.total": "Seconds for the whole of an answer",
    "providers.NAME.max_attempts": "Tries of one call here, if trying again may help and the fleet's retries are below a tenth of its calls",
    "providers.NAME.breaker.error_ratio": "The breaker opens when so many of the calls fail",
    "providers.NAME.breaker.window": "Seconds that are looked back for that",
    "providers.NAME.breaker.min_calls": "Fewer calls in the window open nothing",
    "providers.NAME.breaker.open": "Seconds until a probe is let through",
    "prices.NAME.input_usd_per_million": "US dollars for a million input tokens of `PROVIDER/MODEL`, before what is known of it",
    "prices.NAME.output_usd_per_million": "US dollars for a million output tokens",
    "prices.NAME.cached_usd_per_million": "US dollars for a million input tokens that the provider had cached; null: as other input",
    "prices.NAME.cache_write_usd_per_million": "US dollars for a million input tokens that it wrote to its cache; null: as other input",
    "models.NAME.targets": "Who is asked, in order",
    "models.NAME.when_unavailable": "What is done, in order, when the first target is not to be had",
    "models.NAME.max_wait": "Seconds that a call waits for a target's limit while there is another target",
    "models.NAME.on_broken_stream": "What becomes of a stream that breaks off after its first token: its reader is told, or it begins anew at the next target",
    "models.NAME.cache.ttl": "Seconds that an answer is given again to an equal call",
    "models.NAME.cache.shared": "Whether other tenants are given it too",
    "agents.NAME.models.NAME": "The model of the settings, or `PROVIDER/MODEL`, that this agent is given when it asks for NAME",
    **{
        f"{whose}.{name}": what
        for whose in ("tenants.NAME.budget", "tenants.NAME.user_budget", "agents.NAME.budget")
        for name, what in {
            **{
                f"{unit}_per_{span}": f"{word} that may be spent {when}"
                for unit, word in (("usd", "US dollars"), ("tokens", "Tokens"))
                for span, when in (
                    ("task", "by one task, with those that it calls"),
                    ("conversation", "by one conversation"),
                    ("hour", "in an hour"),
                    ("day", "in a day (UTC)"),
                    ("month", "in a month (UTC)"),
                )
            },
            "on_breach": "What becomes of a task whose next call would be above: it fails, or waits for a person's approval",
            "unpriced": "Where dollars are counted: whether a call is made that nobody knows the price of",
        }.items()
    },
    "queues.NAME.max_depth": "Unfinished tasks that a queue takes; more are refused with 429",
    "queues.NAME.paused": "Nothing of this queue is started; what runs goes on, and tasks are accepted",
    "tenants.NAME.weight": "The tenant's share of slots, against the others' that have work",
    "tenants.NAME.limits.requests_per_minute": "Tasks that the tenant may submit in a minute; more are refused with 429",
    "tenants.NAME.limits.requests_per_day": "Tasks that the tenant may submit in a day; more are refused with 429",
    "tenants.NAME.user_limits.requests_per_minute": "Tasks that each of its users may submit in a minute; more are refused with 429",
    "tenants.NAME.user_limits.requests_per_day": "Tasks that each of its users may submit in a day; more are refused with 429",
    "tenants.NAME.concurrent": "Tasks of the tenant that may run at once; unset: as many as there are slots",
    "tenants.NAME.max_queued": "Unfinished tasks of the tenant; more are refused with 429",
    "tenants.NAME.connections": "Event streams and waits that the tenant may hold open on one gateway process, at most half of the files that "
    "it may have open; more are refused with 429",
    "tenants.NAME.flags.NAME": "Any JSON: what `ctx.flag(NAME)` is for this tenant's tasks, whatever `flags.NAME` says",
    "agents.NAME.enabled": "Whether tasks of this agent are started; accepted they are in any case",
    "agents.NAME.concurrency": "Tasks of the agent that may run at once, over all workers",
    "agents.NAME.timeout": "Seconds that one attempt may run; wins over the code's",
    "agents.NAME.rate_cost": "As how many tasks one of this agent counts against `limits` and `user_limits`",
    "agents.NAME.max_attempts": "Failures until a task is a dead letter; wins over the code's",
    "flags.NAME.value": "Any JSON: what `ctx.flag(NAME)` is",
    "flags.NAME.percent": "For so many percent of the tasks; the others have their code's default. A task stays on its side",
    "gateway.max_body_bytes": "The largest request body; more is 413",
    "gateway.cors_origins": "Origins (`https://app.example.com`) whose web pages may call this gateway from a browser; `*`: all. A key in a page is everybody's",
    "gateway.default_agent": "The agent that doors use where no agent is named, or none of that name is there; null: the only agent, if there is one",
    "gateway.aliases.NAME": "The agent that NAME stands for, for clients of other APIs that ask for a model",
    "journal.preview_characters": "How many characters of what was asked are kept with each effect that begins from then on, without secrets (0 to 2,000)",
    "webhooks.allow_private": "Whether webhooks may go to http addresses, and to private, loopback and link-local ones: for development, "
    "and where every key that submits is trusted with the network that workers stand in",
    "retention.tasks": "How long a finished task is kept, from its end; dead letters stay until they are dropped",
    "retention.conversations": "How long the history of a conversation is kept in which no task comes or goes; null: until it is erased",
    "retention.events": "How long a finished task's stream is kept, from its end (at most the last 50,000 finished ones)",
}

WORDS = {
    settings.Origin: "an origin",
    provider_settings.BaseUrl: "an http(s) address",
    str | tuple[str, ...] | None: "`${env:NAME}`, or a list of these, or null",
    provider_settings.TargetName: "`PROVIDER/MODEL`",
    typing.Annotated[tuple[provider_settings.TargetName, ...], Meta(min_length=1)]: "a list of `PROVIDER/MODEL`",
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
- **Secrets** are never stored: `api_key` names an environment variable of the workers, `${env:NAME}`, and nothing else is taken.
- **The section** `alerts` comes with a later release, and is refused until then.
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
        hint = _struct_in(hint) or hint
        if isinstance(hint, type) and issubclass(hint, Struct):
            yield from leaves(hint, f"{path}.")
        else:
            default = fields[name].default
            yield path, _kind(hint), None if default is msgspec.NODEFAULT else default


def _struct_in(hint: Any) -> type[Struct] | None:
    """The struct of `Struct | None`."""
    options = typing.get_args(hint) if typing.get_origin(hint) in (typing.Union, types.UnionType) else (hint,)
    return next((one for one in options if isinstance(one, type) and issubclass(one, Struct)), None)


def _kind(hint: Any) -> str:
    if hint in WORDS:
        return WORDS[hint]
    if typing.get_origin(hint) in (typing.Union, types.UnionType):
        return " or ".join(_kind(option) for option in typing.get_args(hint))
    if typing.get_origin(hint) is typing.Literal:
        return " or ".join(f"`{word}`" for word in typing.get_args(hint))
    if typing.get_origin(hint) in (tuple, list):
        return f"a list of {_kind(typing.get_args(hint)[0])}"
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
