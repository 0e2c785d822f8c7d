"""Loads the named statements of `queries/*.sql`.

    -- name: get_task
    -- One task by its id, whoever it belongs to.
    SELECT ...

A statement is a name, one sentence saying what it promises, and SQL. A name or a promise that is missing, and a name
given twice, are errors at import, so that no file can hide one. What several statements do in the same words stands once,
in `queries/parts/NAME.sql`, and is named where it belongs: `/*+ NAME */`.
"""

import re
from importlib.resources import files

_PART = re.compile(r"/\*\+ ([a-z_]+) \*/")
_HEAD = re.compile(r"^-- name: (?P<name>[a-z][a-z0-9_]*)\n-- (?P<promise>\S.*)\n", re.MULTILINE)


def parse(text: str) -> dict[str, str]:
    """Split one file into its statements by name."""
    heads = list(_HEAD.finditer(text))
    if len(heads) != text.count("-- name:"):
        raise ValueError("every `-- name:` line is followed by a comment line that says the statement's promise")
    statements: dict[str, str] = {}
    for head, following in zip(heads, [*heads[1:], None], strict=True):
        end = following.start() if following else len(text)
        name = head["name"]
        if name in statements:
            raise ValueError(f"two statements are named {name}")
        statements[name] = f"/* {name} */ " + text[head.end() : end].strip().rstrip(";")
    return statements


def load() -> dict[str, str]:
    """All statements of the room, by name."""
    statements: dict[str, str] = {}
    queries = files(__package__).joinpath("queries")
    parts = {file.name[:-4]: file.read_text(encoding="utf-8").strip() for file in queries.joinpath("parts").iterdir()}
    for file in sorted(queries.iterdir(), key=lambda entry: entry.name):
        if not file.name.endswith(".sql"):
            continue
        whole = _PART.sub(lambda named: parts[named[1]], file.read_text(encoding="utf-8"))
        for name, sql in parse(whole).items():
            if name in statements:
                raise ValueError(f"two statements are named {name}")
            statements[name] = sql
    return statements


SQL = load()
