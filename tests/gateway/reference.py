"""Writes docs/reference/openapi.md from the route table itself: python -m tests.gateway.reference"""

from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any
from unittest.mock import MagicMock

from dayshift.gateway.build import GatewayServices, route_table
from dayshift.gateway.drain import Drain
from dayshift.gateway.events import EVENT_STREAM
from dayshift.gateway.openapi import describe

PAGE = Path(__file__).parents[2] / "docs" / "reference" / "openapi.md"
COMPONENT = "#/components/schemas/"

HEAD = """\
# OpenAPI

`GET /openapi.json` as a page: each request with what it takes and answers, and under [shapes](#shapes) the fields of each
body. What they mean is in the [HTTP reference](http.md). Generators of clients read the document itself:

```sh
curl -s http://127.0.0.1:8700/openapi.json > dayshift.json
```

A field with a `*` must be given. What each status of an error means: [problems](http.md#problems).
"""


def document() -> dict[str, Any]:
    """The description of the routes as a gateway has them; no handler is called for it."""
    services = GatewayServices(tasks=MagicMock(), settings=MagicMock(), settings_store=MagicMock())
    return describe(route_table(services, Drain(), MagicMock()))


def page() -> str:
    described = document()
    lines = [HEAD]
    for tag, operations in _by_tag(described["paths"]).items():
        lines.append(f"## {tag.capitalize()}\n")
        for operation in operations:
            lines += _operation(*operation)
    lines.append("## Shapes\n")
    for name, schema in sorted(described["components"]["schemas"].items(), key=lambda item: _plain(item[0])):
        lines += _shape(name, schema)
    return "\n".join(lines)


Operation = tuple[str, str, dict[str, Any]]


def _by_tag(paths: dict[str, Any]) -> dict[str, list[Operation]]:
    found: dict[str, list[Operation]] = {}
    for path, methods in paths.items():
        for method, operation in methods.items():
            found.setdefault(operation["tags"][0], []).append((method.upper(), path, operation))
    return found


def _operation(method: str, path: str, operation: dict[str, Any]) -> Iterator[str]:
    yield f"### `{method} {path}`\n"
    yield f"{operation['summary']}. {operation.get('description', 'Needs no key.')}\n"
    parameters = [each for each in operation["parameters"] if each["in"] != "path"]
    if parameters or "requestBody" in operation:
        yield "| takes | where | type | |\n|---|---|---|---|"
        for each in parameters:
            meaning = each.get("description") or each["schema"].get("description", "")
            yield f"| `{each['name']}` | {each['in']} | {_type(each['schema'])} | {meaning} |"
        if "requestBody" in operation:
            yield f"| | body | {_content(operation['requestBody'])} | |"
        yield ""
    yield "| status | | body |\n|---|---|---|"
    answers = sorted(operation["responses"].items())
    for status, answer in answers:
        if not _is_error(status):
            yield f"| {status} | {answer['description']} | {_content(answer)} |"
    errors = [status for status, _ in answers if _is_error(status)]
    if errors:
        _, first = next(answer for answer in answers if answer[0] == errors[0])
        yield f"| {', '.join(errors)} | | {_content(first)} |"
    yield ""


def _is_error(status: str) -> bool:
    return status >= "400"


def _shape(name: str, schema: dict[str, Any]) -> Iterator[str]:
    yield f"### {_plain(name)}\n"
    if "enum" in schema:
        yield f"{_type(schema)}\n"
        return
    yield "| field | type | default |\n|---|---|---|"
    required = schema.get("required", [])
    for field, described in schema.get("properties", {}).items():
        default = f"`{described['default']}`" if described.get("default") not in (None, "") else ""
        yield f"| `{field}`{'*' if field in required else ''} | {_type(described)} | {default} |"
    yield ""


def _content(holder: dict[str, Any]) -> str:
    return ", ".join(_body(kind, body["schema"]) for kind, body in holder.get("content", {}).items())


def _body(kind: str, schema: dict[str, Any]) -> str:
    return f"events (`{EVENT_STREAM}`)" if kind == EVENT_STREAM else f"{_type(schema)}{_media(kind)}"


def _media(kind: str) -> str:
    return "" if kind in ("application/json", "application/problem+json") else f" (`{kind}`)"


def _type(schema: dict[str, Any]) -> str:
    if "$ref" in schema:
        name = _plain(schema["$ref"].removeprefix(COMPONENT))
        return f"[{name}](#{name.lower().replace(' ', '-')})"
    if "anyOf" in schema:
        return _either(_type(each) for each in schema["anyOf"])
    if "enum" in schema:
        return _either(f"`{value}`" for value in schema["enum"])
    if "const" in schema:
        return f"`{schema['const']}`"
    if schema.get("type") == "array":
        return f"list of {_type(schema.get('items', {}))}"
    if schema.get("type") == "object" and "data" in schema.get("properties", {}):
        return f"page of {_type(schema['properties']['data']['items'])}"
    kinds = schema.get("type", "any JSON")
    return f"{kinds if isinstance(kinds, str) else _either(kinds)}{_bounds(schema)}"


def _bounds(schema: dict[str, Any]) -> str:
    words = {
        "minimum": "from {}",
        "exclusiveMinimum": "above {}",
        "maximum": "to {}",
        "exclusiveMaximum": "below {}",
        "minLength": "at least {} long",
        "maxLength": "at most {} long",
        "format": "{}",
    }
    said = [words[name].format(schema[name]) for name in words if name in schema]
    return f" ({', '.join(said)})" if said else ""


def _either(kinds: Iterable[str]) -> str:
    return " or ".join(dict.fromkeys(kinds))


def _plain(name: str) -> str:
    """Two shapes of one name have the room before it: the last word of the room tells them apart."""
    room, _, last = name.rpartition(".")
    return f"{last} of {room.removeprefix('dayshift.gateway.').partition('.')[0]}" if room else last


if __name__ == "__main__":
    PAGE.write_text(page())
