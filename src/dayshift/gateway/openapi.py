"""`/openapi.json`: OpenAPI 3.1, made of the route table and the structs that decode and encode. Nothing is written twice.

Path parameters come from the templates, query parameters from the query structs, bodies and answers from their types.
"""

import re
from collections.abc import Callable, Iterable
from types import UnionType
from typing import Annotated, Any, Union, get_args, get_origin

import msgspec
from msgspec import NODEFAULT, Raw, Struct

from dayshift._version import __version__
from dayshift.gateway import headers
from dayshift.gateway.events import EVENT_STREAM
from dayshift.gateway.problems import Problem
from dayshift.gateway.replies import Reply, json_reply
from dayshift.gateway.request import Request
from dayshift.gateway.routes import Handler, Route

_REF = "#/components/schemas/{name}"
_NOT_A_WORD = re.compile(r"\W+")
_PARAMETER = re.compile(r"{(\w+)}")

_TEXT = {"type": "string"}
_ONE_EVENT = {  # OpenAPI 3.1 cannot say "a sequence of"; what reads its documents takes this for each of the stream
    "type": "object",
    "description": "One event of the stream; `data` is JSON.",
    "required": ["data"],
    "properties": {"id": _TEXT, "event": _TEXT, "data": _TEXT},
}
_NO_NUL = r"^[^\u0000]*$"  # no query takes one


class _Header(Struct, frozen=True):
    """What may stand in a request header. `pattern`: what is refused unless it looks like that."""

    meaning: str
    pattern: str | None = None
    required: bool = False


_HEADERS = {
    "Idempotency-Key": _Header(
        "The same key (1-255 characters, kept 24 h) makes the task once, however often it is sent.",
        r'^([ !#-~][ -~]{0,254}|"([ !#-\[\]-~]|\\["\\]){1,127}")$',
    ),
    "Prefer": _Header("`wait=N`: answer with the finished task when it ends within N seconds (up to 60)."),
    "traceparent": _Header("The W3C trace context that the task continues."),
    "Last-Event-ID": _Header("The number of the last event seen; the stream goes on after it.", "^[0-9]{0,16}$"),
    "A2A-Version": _Header("The version of the protocol that is spoken: 1.0.", r"^1(\.[0-9]+)*$", required=True),
    "If-Match": _Header(
        "The version that the change builds on; 412 when it is no longer the newest.", headers.IF_MATCH.pattern
    ),
}


def openapi_route(table: list[Route]) -> Route:
    """The route that describes all routes, itself included. Made once, as it never changes."""
    document: list[Reply] = []

    async def answer(_request: Request) -> Reply:
        return document[0]

    handler: Handler = answer
    route = Route(
        method="GET",
        path="/openapi.json",
        handler=handler,
        scope=None,
        summary="This API, as OpenAPI 3.1",
        tag="operation",
        answers={200: dict[str, Any]},
    )
    document.append(json_reply(describe([*table, route])))
    return route


def describe(table: list[Route]) -> dict[str, Any]:
    """The OpenAPI document of a route table."""
    schema_of, components = _schemas(table)
    paths: dict[str, dict[str, Any]] = {}
    for route in table:
        paths.setdefault(route.template, {})[route.method.lower()] = _operation(route, schema_of)
    return {
        "openapi": "3.1.0",
        "info": {
            "title": "dayshift",
            "version": __version__,
            "license": {"name": "Apache-2.0", "identifier": "Apache-2.0"},
        },
        "security": [{"apiKey": []}],
        "paths": paths,
        "components": {
            "schemas": components,
            "securitySchemes": {"apiKey": {"type": "http", "scheme": "bearer", "bearerFormat": "dsk_..."}},
        },
    }


_SchemaOf = Callable[[Any], dict[str, Any]]


def _operation(route: Route, schema_of: _SchemaOf) -> dict[str, Any]:
    operation: dict[str, Any] = {
        "operationId": _NOT_A_WORD.sub("_", f"{route.method.lower()}{route.template}").strip("_"),
        "summary": route.summary,
        "tags": [route.tag],
        "parameters": list(_parameters(route)),
        "responses": {str(status): _response(status, kind, schema_of) for status, kind in route.answers.items()},
    }
    if route.body is not None:
        operation["requestBody"] = {
            "required": True,
            "content": {"application/json": {"schema": schema_of(route.body)}},
        }
    if route.scope is None:
        operation["security"] = []
    else:
        operation["description"] = f"Needs a key with the scope `{route.scope}`."
        for status in (401, 403, 503):  # 503: any gateway may have enough at work
            operation["responses"].setdefault(str(status), _response(status, route.dialect.error, schema_of))
    return operation


def _parameters(route: Route) -> Iterable[dict[str, Any]]:
    for name in _PARAMETER.findall(route.template):
        yield {"name": name, "in": "path", "required": True, "schema": {"type": "string"}}
    if route.query is not None:
        schema = msgspec.json.schema(_showable(route.query), ref_template=_REF)
        shape = next(iter(schema["$defs"].values()))
        for name, described in shape["properties"].items():
            inlined = _without_nul(_inlined(described, schema["$defs"]))
            yield {"name": name, "in": "query", "required": False, "schema": inlined}
    for name in route.headers:
        known = _HEADERS[name]
        yield {
            "name": name,
            "in": "header",
            "required": known.required,
            "description": known.meaning,
            "schema": {"type": "string"} if known.pattern is None else {"type": "string", "pattern": known.pattern},
        }


def _without_nul(schema: dict[str, Any]) -> dict[str, Any]:
    """A query's parameter as it is taken: a URL has no null, and its texts no NUL."""
    kinds = [kind for kind in schema.get("anyOf", [schema]) if kind.get("type") != "null"]
    made = {**{name: part for name, part in schema.items() if name != "anyOf"}, **kinds[0]}
    if made.get("default", ...) is None:
        del made["default"]
    if made.get("type") == "string" and not {"enum", "pattern"} & made.keys():
        made["pattern"] = _NO_NUL
    return made


def _inlined(schema: Any, definitions: dict[str, Any]) -> Any:
    """The same schema without references: parameters stand alone."""
    if isinstance(schema, dict):
        if "$ref" in schema:
            return _inlined(definitions[schema["$ref"].rpartition("/")[2]], definitions)
        return {name: _inlined(part, definitions) for name, part in schema.items()}
    if isinstance(schema, list):
        return [_inlined(part, definitions) for part in schema]
    return schema


def _response(status: int, kind: Any, schema_of: _SchemaOf) -> dict[str, Any]:
    description = _DESCRIPTIONS.get(status, "An error")
    if kind is None:
        return {"description": description}
    kinds = kind if isinstance(kind, tuple) else (kind,)
    return {
        "description": description,
        "content": {_media_type(one): {"schema": _body(one, schema_of)} for one in kinds},
    }


def _media_type(kind: Any) -> str:
    if isinstance(kind, str):
        return kind
    return "application/problem+json" if kind is Problem else "application/json"


def _body(kind: Any, schema_of: _SchemaOf) -> dict[str, Any]:
    if kind == EVENT_STREAM:
        return _ONE_EVENT
    return {"type": "string"} if isinstance(kind, str) else schema_of(kind)


_DESCRIPTIONS = {
    200: "Done",
    201: "Made",
    202: "Accepted: it is durable",
    204: "Done; there is nothing to say",
    304: "It is as you have it",
    400: "The request cannot be read",
    401: "No key, or one that is not valid",
    403: "The key's scopes do not reach this",
    404: "There is no such thing for this tenant",
    409: "It is not in a state that allows this",
    412: "Somebody else was first",
    413: "The body is too large",
    415: "The body is not JSON by its Content-Type",
    422: "The request can be read, but is not valid",
    429: "Not now: a limit or a depth is reached; see Retry-After",
    501: "This gateway was installed without it",
    502: "The agent's output is nothing that the protocol can carry",
    503: "A dependency is away, or this gateway has enough at work; see Retry-After",
}


def _schemas(table: list[Route]) -> tuple[_SchemaOf, dict[str, Any]]:
    """A function that gives the schema of a type of the table, and the components that those schemas refer to."""
    kinds: list[Any] = [Problem]
    for route in table:
        kinds += [
            kind
            for answer in (route.body, route.dialect.error, *route.answers.values())
            for kind in (answer if isinstance(answer, tuple) else (answer,))
            if kind is not None and not isinstance(kind, str)
        ]
    unique = list(dict.fromkeys(kinds))
    schemas, components = msgspec.json.schema_components([_showable(kind) for kind in unique], ref_template=_REF)
    by_kind = {
        kind: _as_list(schema) if get_origin(kind) is list else schema
        for kind, schema in zip(unique, schemas, strict=True)
    }
    return by_kind.__getitem__, components


def _as_list(schema: dict[str, Any]) -> dict[str, Any]:
    return {
        "type": "object",
        "required": ["object", "data", "has_more"],
        "properties": {"object": {"const": "list"}, "data": schema, "has_more": {"type": "boolean"}},
    }


_shown: dict[type[Struct], type[Struct]] = {}


def _showable(kind: Any) -> Any:
    """The same type with every default as plain JSON: msgspec cannot describe one that is raw bytes."""
    if get_origin(kind) is Annotated:
        inner, *about = get_args(kind)
        return Annotated[(_showable(inner), *about)]
    if get_origin(kind) is list:
        return list[_showable(get_args(kind)[0])]  # type: ignore[misc]  # a type made at run time
    if get_origin(kind) in {UnionType, Union}:
        branches = get_args(kind)
        shown = tuple(_showable(branch) for branch in branches)
        return kind if all(one is other for one, other in zip(branches, shown, strict=True)) else Union[shown]  # noqa: UP007 - likewise
    if not (isinstance(kind, type) and issubclass(kind, Struct)):
        return kind
    if kind not in _shown:
        _shown[kind] = _with_plain_defaults(kind)
    return _shown[kind]


def _with_plain_defaults(kind: type[Struct]) -> type[Struct]:
    fields = msgspec.structs.fields(kind)
    types = {field.name: _showable(field.type) for field in fields}
    if not any(isinstance(field.default, Raw) or types[field.name] is not field.type for field in fields):
        return kind
    return msgspec.defstruct(
        kind.__name__,
        [_shown_field(field, types[field.name]) for field in fields],
        kw_only=True,
        namespace={"__doc__": kind.__doc__},
        forbid_unknown_fields=kind.__struct_config__.forbid_unknown_fields,
    )


def _shown_field(field: msgspec.structs.FieldInfo, kind: Any) -> Any:
    if isinstance(field.default, Raw):
        plain = msgspec.json.decode(field.default)
        return field.name, kind, msgspec.field(default_factory=lambda: plain)
    if field.default is not NODEFAULT:
        return field.name, kind, msgspec.field(default=field.default)
    if field.default_factory is not NODEFAULT:
        return field.name, kind, msgspec.field(default_factory=field.default_factory)
    return field.name, kind
