"""The table's rows of this door. The bodies are the protocol's own; its specification describes them."""

from typing import Any, Literal

from msgspec import Struct

from dayshift.domain.api_keys import READ, SUBMIT
from dayshift.gateway.a2a.door import A2aDoor
from dayshift.gateway.events import EVENT_STREAM
from dayshift.gateway.problems import Problem
from dayshift.gateway.routes import Route

_Json = dict[str, Any]
_EITHER = (_Json, Problem)  # what the door says before the protocol is spoken is a problem


class RpcRequest(Struct, frozen=True):
    """A JSON-RPC 2.0 request: A2A 1.0, section 9. Without a version in the header A2A-Version it is refused."""

    jsonrpc: Literal["2.0"]
    id: int | str | None
    method: str
    params: dict[str, Any] = {}


class MessageRequest(Struct, frozen=True):
    """What is said to an agent: A2A 1.0, section 3.1.1."""

    message: dict[str, Any]
    configuration: dict[str, Any] = {}
    metadata: dict[str, Any] = {}


class PushRequest(Struct, frozen=True):
    """Whom to tell of a task: A2A 1.0, section 4.3."""

    url: str
    id: str = ""
    token: str = ""
    authentication: dict[str, Any] = {}


def a2a_routes(door: A2aDoor) -> list[Route]:
    """Cards, then JSON-RPC, then HTTP+JSON."""
    return [*_cards(door), _rpc(door), *(_rest(door, operation) for operation in _OPERATIONS)]


def _cards(door: A2aDoor) -> list[Route]:
    answers: dict[int, Any] = {200: _Json, 304: None, 404: Problem, 501: Problem, 503: Problem}
    return [
        Route(
            method="GET",
            path="/.well-known/agent-card.json",
            handler=door.default_card,
            scope=None,
            summary="The A2A card of the default agent",
            tag="a2a",
            answers=answers,
        ),
        Route(
            method="GET",
            path="/a2a/{agent}/.well-known/agent-card.json",
            handler=door.card,
            scope=None,
            summary="An agent's A2A card",
            tag="a2a",
            answers=answers,
        ),
    ]


def _rpc(door: A2aDoor) -> Route:
    return Route(
        method="POST",
        path="/a2a/{agent}",
        alias="/a2a/{agent}/",
        handler=door.rpc,
        scope=READ,
        summary="A2A by JSON-RPC: the method is in the body",
        tag="a2a",
        body=RpcRequest,
        headers=("A2A-Version", "Idempotency-Key", "traceparent"),
        answers={200: _Json, 404: Problem, 413: _Json, 429: _Json, 501: Problem, 503: _EITHER},
    )


class _Operation(Struct, frozen=True):
    """One row: an operation, and how HTTP+JSON asks for it."""

    name: str
    method: str
    path: str
    scope: str
    summary: str
    body: type[Struct] | None = None
    streams: bool = False

    @property
    def headers(self) -> tuple[str, ...]:
        return ("A2A-Version", *(("Idempotency-Key", "traceparent") if self.body is MessageRequest else ()))


_TASK, _PUSHES = "/tasks/{task}", "/tasks/{task}/pushNotificationConfigs"
_SAY, _STREAM, _FOLLOW = "say something to an agent", "say something, and follow what comes of it", "follow a task"
_OPERATIONS = [
    _Operation("SendMessage", "POST", "/message:send", SUBMIT, _SAY, MessageRequest),
    _Operation("SendStreamingMessage", "POST", "/message:stream", SUBMIT, _STREAM, MessageRequest, streams=True),
    _Operation("GetExtendedAgentCard", "GET", "/extendedAgentCard", READ, "the card for who has a key"),
    _Operation("ListTasks", "GET", "/tasks", READ, "list tasks, the latest change first"),
    _Operation("CancelTask", "POST", f"{_TASK}:cancel", SUBMIT, "cancel a task"),
    _Operation("SubscribeToTask", "GET", f"{_TASK}:subscribe", READ, _FOLLOW, streams=True),
    _Operation("SubscribeToTask", "POST", f"{_TASK}:subscribe", READ, _FOLLOW, streams=True),
    _Operation("GetTask", "GET", _TASK, READ, "get a task"),
    _Operation("CreateTaskPushNotificationConfig", "POST", _PUSHES, SUBMIT, "have changes told", PushRequest),
    _Operation("ListTaskPushNotificationConfigs", "GET", _PUSHES, READ, "who is told of a task"),
    _Operation("GetTaskPushNotificationConfig", "GET", f"{_PUSHES}/{{config}}", READ, "one who is told of a task"),
    _Operation("DeleteTaskPushNotificationConfig", "DELETE", f"{_PUSHES}/{{config}}", SUBMIT, "tell one no more"),
]


def _rest(door: A2aDoor, operation: _Operation) -> Route:
    return Route(
        method=operation.method,
        path=f"/a2a/{{agent}}{operation.path}",
        handler=door.rest(operation.name),
        scope=operation.scope,
        summary=f"A2A: {operation.summary}",
        tag="a2a",
        body=operation.body,
        headers=operation.headers,
        answers={
            200: EVENT_STREAM if operation.streams else _Json,
            501: Problem,
            **dict.fromkeys((400, 409, 413, 415, 429, 502), _Json),
            **dict.fromkeys((404, 503), _EITHER),
        },
        streams=operation.streams,
    )
