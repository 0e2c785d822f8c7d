"""Writes docs/reference/cli.md from the commands themselves: python -m tests.cli.reference"""

import inspect
from collections.abc import Iterator
from pathlib import Path

from cyclopts import App
from cyclopts.argument import Argument

from dayshift.cli.root import root

PAGE = Path(__file__).parents[2] / "docs" / "reference" / "cli.md"

HEAD = """\
# Command line

Exit status: 0 done, 1 the thing asked for failed, 2 wrong usage. An error is one line on stderr that says the cure;
`--debug`, anywhere, shows its traceback instead. Every command that prints data takes `--json`; lists are then
`{object: "list", data, has_more}`.

Commands that work with tasks speak HTTP to a gateway, found by `--url` or by `DAYSHIFT_HOST` and `DAYSHIFT_PORT`, with the
key in `DAYSHIFT_API_KEY`. `keys`, `config`, `migrate`, `check` and `doctor` work on this machine's PostgreSQL itself:
the one that `DAYSHIFT_DATABASE_URL` names, else the embedded one that a `dayshift run` or `serve` has started on
`DAYSHIFT_DATA`. All variables: [environment](environment.md).
"""


def page() -> str:
    """The whole page."""
    return HEAD + "".join(_section(name, command) for name, command in commands())


def commands() -> Iterator[tuple[str, App]]:
    """Every command that people see, with its full name."""
    for name, app in root.resolved_commands().items():
        if name.startswith("-"):
            continue
        inner = [(f"{name} {sub}", one) for sub, one in app.resolved_commands().items() if not sub.startswith("-")]
        yield from inner or [(name, app)]


def _section(name: str, command: App) -> str:
    function = command.default_command
    assert function is not None
    arguments = [] if name == "fakellm" else [one for one in command.assemble_argument_collection() if one.show]
    positional = [one for one in arguments if not one.name.startswith("-")]
    options = [one for one in arguments if one.name.startswith("-")]
    usage = " ".join(["dayshift", name, *(_placeholder(one) for one in positional)])
    text = "\n".join(line.strip() for line in inspect.getdoc(function).splitlines())
    table = "".join(f"| `{one.name}` | {_default(one)} | {_help(one)} |\n" for one in options)
    head = "\n| option | default | meaning |\n|---|---|---|\n" if table else ""
    return f"\n## `{usage}`\n\n{text}\n{head}{table}"


def _placeholder(argument: Argument) -> str:
    name = argument.name.upper()
    if argument.field_info.kind is inspect.Parameter.VAR_POSITIONAL:
        return f"{name.removesuffix('S')}..."
    return name if argument.required else f"[{name}]"


def _default(argument: Argument) -> str:
    if argument.required:
        return "required"
    default = argument.field_info.default
    return "-" if default in (None, False, inspect.Parameter.empty) else f"`{default}`"


def _help(argument: Argument) -> str:
    return (argument.parameter.help or "").replace("|", "\\|") or argument.name.removeprefix("--").replace("-", " ")


if __name__ == "__main__":
    PAGE.write_text(page())
