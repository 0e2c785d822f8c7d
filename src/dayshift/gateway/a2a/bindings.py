"""The two bindings: JSON-RPC, where the body names the operation, and HTTP+JSON, where method and path do.

The SDK has dispatchers of its own. They are not used: they answer other statuses and content types than the specification
says, read bodies without a limit, and keep their streams by signal handlers that belong to the server.
"""

from collections.abc import AsyncGenerator, AsyncIterator, Awaitable, Callable
from typing import Any, cast

import msgspec
from a2a.server.events.event_queue import Event
from a2a.types import a2a_pb2 as pb
from a2a.utils.errors import (
    A2AError,
    InvalidParamsError,
    InvalidRequestError,
    MethodNotFoundError,
    VersionNotSupportedError,
)
from a2a.utils.proto_utils import parse_params, to_stream_response
from google.protobuf.json_format import ParseDict, ParseError
from google.protobuf.message import Message
from msgspec import Struct
from starlette.datastructures import QueryParams

from dayshift.domain.api_keys import READ, SUBMIT
from dayshift.domain.errors import DayshiftError
from dayshift.gateway.a2a.calls import Call
from dayshift.gateway.a2a.errors import rest_error, rpc_answer, rpc_error
from dayshift.gateway.a2a.handler import TaskHandler
from dayshift.gateway.a2a.plain import plain
from dayshift.gateway.bodies import checked_json, read_unchecked
from dayshift.gateway.events import LiveStream
from dayshift.gateway.replies import JSON, Answer, Reply

A2A_JSON = "application/a2a+json"
VERSION = "1"
VERSION_HEADER = "A2A-Version"


class Operation(Struct, frozen=True):
    """What can be asked for: its message, the scope that it needs, and whether it is answered by a stream."""

    message: type[Message]
    scope: str
    method: Callable[[TaskHandler], Callable[..., Any]]
    streams: bool = False


OPERATIONS = {
    "SendMessage": Operation(pb.SendMessageRequest, SUBMIT, lambda handler: handler.on_message_send),
    "SendStreamingMessage": Operation(
        pb.SendMessageRequest, SUBMIT, lambda handler: handler.on_message_send_stream, streams=True
    ),
    "GetTask": Operation(pb.GetTaskRequest, READ, lambda handler: handler.on_get_task),
    "ListTasks": Operation(pb.ListTasksRequest, READ, lambda handler: handler.on_list_tasks),
    "CancelTask": Operation(pb.CancelTaskRequest, SUBMIT, lambda handler: handler.on_cancel_task),
    "SubscribeToTask": Operation(
        pb.SubscribeToTaskRequest, READ, lambda handler: handler.on_subscribe_to_task, streams=True
    ),
    "CreateTaskPushNotificationConfig": Operation(
        pb.TaskPushNotificationConfig, SUBMIT, lambda handler: handler.on_create_task_push_notification_config
    ),
    "GetTaskPushNotificationConfig": Operation(
        pb.GetTaskPushNotificationConfigRequest, READ, lambda handler: handler.on_get_task_push_notification_config
    ),
    "ListTaskPushNotificationConfigs": Operation(
        pb.ListTaskPushNotificationConfigsRequest, READ, lambda handler: handler.on_list_task_push_notification_configs
    ),
    "DeleteTaskPushNotificationConfig": Operation(
        pb.DeleteTaskPushNotificationConfigRequest,
        SUBMIT,
        lambda handler: handler.on_delete_task_push_notification_config,
    ),
    "GetExtendedAgentCard": Operation(
        pb.GetExtendedAgentCardRequest, READ, lambda handler: handler.on_get_extended_agent_card
    ),
}


class Frame(Struct, frozen=True):
    """One event of a stream, as its binding writes it. Streams here say nothing of their own when they end."""

    body: bytes
    is_final: bool = True


class A2aStream(LiveStream[Frame]):
    """A stream of either binding."""

    def _frame(self, event: Frame) -> bytes:
        return event.body


class Bindings:
    """Both, over one handler."""

    def __init__(self, handler: TaskHandler, max_body_bytes: Callable[[], int]) -> None:
        self._handler = handler
        self._max_body_bytes = max_body_bytes

    async def rpc(self, call: Call) -> Answer:
        """One JSON-RPC request."""
        request_id: Any = None
        try:
            said = msgspec.json.decode(checked_json(await read_unchecked(call.request, self._max_body_bytes())))
            request_id = _id_of(said)
            operation = _operation_of(said)
            call.needs(operation.scope)
            _check_version(call)
            params = _parsed(said.get("params", {}), operation)
            return await self._answered(call, operation, params, lambda result: rpc_answer(request_id, result=result))
        except (A2AError, DayshiftError) as error:
            return rpc_error(request_id, _passed_on(error))

    async def rest(self, call: Call, name: str) -> Answer:
        """One request of HTTP+JSON: what its path names is said over what its body or query says."""
        operation = OPERATIONS[name]
        try:
            _check_version(call)
            raw = await read_unchecked(call.request, self._max_body_bytes(), A2A_JSON)
            params = _parsed(msgspec.json.decode(checked_json(raw)) if raw.strip() else {}, operation)
            if call.request.method == "GET":
                _read_query(call, params)
            _place(params, call.request.params)
            return await self._answered(call, operation, params, lambda result: {} if result is None else result)
        except (A2AError, DayshiftError) as error:
            return rest_error(_passed_on(error))

    async def _answered(
        self, call: Call, operation: Operation, params: Message, wrap: Callable[[Any], dict[str, Any]]
    ) -> Answer:
        method = operation.method(self._handler)
        if operation.streams:
            events = cast("AsyncGenerator[Event]", method(params, call.context()))
            first = await anext(events)  # what is wrong is said before a stream begins
            return A2aStream(_frames(first, events, wrap), call.request)
        result = await cast("Awaitable[Any]", method(params, call.context()))
        return Reply(200, msgspec.json.encode(wrap(_json_of(result, operation))), [JSON, *call.headers])


async def _frames(
    first: Event, events: AsyncGenerator[Event], wrap: Callable[[Any], dict[str, Any]]
) -> AsyncIterator[Frame]:
    try:
        yield _frame(first, wrap)
        async for event in events:
            yield _frame(event, wrap)
    finally:
        await events.aclose()


def _frame(event: Event, wrap: Callable[[Any], dict[str, Any]]) -> Frame:
    return Frame(b"data: %s\n\n" % msgspec.json.encode(wrap(plain(to_stream_response(event)))))


def _json_of(result: Message | None, operation: Operation) -> Any:
    match result:
        case None:
            return None
        case pb.Task() if operation.message is pb.SendMessageRequest:
            return {"task": plain(result)}
        case pb.Message():
            return {"message": plain(result)}
        case pb.ListTasksResponse():  # these are always there
            return {"tasks": [], "nextPageToken": "", "totalSize": 0, **plain(result)}
    return plain(result)


def _id_of(said: Any) -> Any:
    request_id = said.get("id") if isinstance(said, dict) else None
    return request_id if isinstance(request_id, str | int) and not isinstance(request_id, bool) else None


def _operation_of(said: Any) -> Operation:
    if not isinstance(said, dict):
        raise InvalidRequestError("a request is one object; batches are not taken")
    if said.get("jsonrpc") != "2.0" or not isinstance(said.get("method"), str) or "id" not in said:
        raise InvalidRequestError('a request has "jsonrpc": "2.0", an id and a method')
    if said["id"] is not None and _id_of(said) is None:
        raise InvalidRequestError("the id is text, a whole number, or null")
    operation = OPERATIONS.get(said["method"])
    if operation is None:
        raise MethodNotFoundError(f"there is no method {said['method'][:100]!r}; there are {', '.join(OPERATIONS)}")
    return operation


def _check_version(call: Call) -> None:
    """Without a version it is 0.3 that is spoken, as the specification says."""
    query = QueryParams(call.request.scope["query_string"])
    version = call.request.header(VERSION_HEADER.lower().encode()) or query.get(VERSION_HEADER) or "0.3"
    if version.partition(".")[0].strip() != VERSION:
        raise VersionNotSupportedError(f"A2A {version[:20]} is not spoken here; send the header {VERSION_HEADER}: 1.0")


def _parsed(said: Any, operation: Operation) -> Message:
    message = operation.message()
    if not isinstance(said, dict):
        raise InvalidParamsError("the parameters are an object")
    try:
        return ParseDict(said, message, ignore_unknown_fields=True)
    except (ParseError, RecursionError) as error:
        raise InvalidParamsError(str(error)[:500]) from None


def _read_query(call: Call, message: Message) -> None:
    try:
        parse_params(QueryParams(call.request.scope["query_string"]), message)
    except ParseError as error:
        raise InvalidParamsError(str(error)[:500]) from None


def _place(message: Message, params: dict[str, str]) -> None:
    """The ids of the path: `task` is the message's own where there is no other."""
    fields = message.DESCRIPTOR.fields_by_name
    if "task" in params:
        setattr(message, "task_id" if "task_id" in fields else "id", params["task"])
    if "config" in params:
        message.id = params["config"]


def _passed_on(error: A2AError | DayshiftError) -> A2AError | DayshiftError:
    """What a key may not do is said by the door, as everywhere."""
    if getattr(error, "status", None) == 403:
        raise error
    return error
