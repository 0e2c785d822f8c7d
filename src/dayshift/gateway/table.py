"""The table of everything that can be asked for over HTTP: what routes, guards and describes it."""

from typing import Annotated, Any

from msgspec import Meta, Struct

from dayshift.domain.api_keys import ADMIN, READ, SUBMIT
from dayshift.domain.task import Task
from dayshift.gateway.conversations import (
    ConversationRequest,
    ConversationsDoor,
    ConversationView,
    HistoryQuery,
    HistoryView,
)
from dayshift.gateway.effects import EffectPage, EffectsDoor, EffectView, Resolution
from dayshift.gateway.events import EVENT_STREAM, After, Events
from dayshift.gateway.home import welcome
from dayshift.gateway.keys import KeyPage, KeyRequest, Keys, ShownKey
from dayshift.gateway.lists import AgentView, Lists, WorkerView
from dayshift.gateway.pages import Page
from dayshift.gateway.probes import Probes, Readiness
from dayshift.gateway.problems import Problem
from dayshift.gateway.routes import Route
from dayshift.gateway.schedules import WHERE as SCHEDULES
from dayshift.gateway.schedules import SchedulePage, SchedulesDoor, ScheduleView
from dayshift.gateway.settings import HistoryPage, Reason, SettingRequest, SettingsDoor
from dayshift.gateway.signals import SignalDoor, SignalRequest
from dayshift.gateway.submissions import MAX_BATCH
from dayshift.gateway.tasks import Look, TaskDoor, TaskFilter, TaskPage
from dayshift.gateway.webhook_shapes import (
    DeletedEndpoint,
    EndpointChange,
    EndpointPage,
    EndpointRequest,
    EndpointTested,
    EndpointTestRequest,
    EndpointView,
    EndpointWithSecret,
    EventTypeList,
    RotateRequest,
)
from dayshift.gateway.webhooks import WebhooksDoor
from dayshift.ledger.shapes import KeyRow
from dayshift.settings import Change
from dayshift.tasks.depth import QueueDepth
from dayshift.tasks.inputs import TaskRequest
from dayshift.tasks.schedules import ScheduleChange, ScheduleRequest

HTML = "text/html"
METRICS_TEXT = "text/plain"
OF_BODIES: dict[int, Any] = dict.fromkeys((400, 413, 415, 422), Problem)  # what every request with a body may be told


class BatchRequest(Struct, frozen=True, forbid_unknown_fields=True):
    """The body of `POST /v1/tasks/batch`; an item may carry `idempotency_key`."""

    tasks: Annotated[list[TaskRequest], Meta(min_length=1, max_length=MAX_BATCH)]


class BatchAnswer(Struct, frozen=True):
    """In the order of the batch: a task, or the problem of that item alone."""

    data: list[Any]


def task_routes(tasks: TaskDoor, events: Events) -> list[Route]:
    """Tasks and their streams."""
    refusals: dict[int, Any] = {**OF_BODIES, 429: Problem}
    return [
        Route(
            method="POST",
            path="/v1/tasks",
            handler=tasks.submit,
            scope=SUBMIT,
            summary="Submit a task",
            body=TaskRequest,
            headers=("Idempotency-Key", "Prefer", "traceparent"),
            answers={202: Task, 200: Task, 409: Problem, **refusals},
        ),
        Route(
            method="POST",
            path="/v1/tasks/batch",
            handler=tasks.submit_batch,
            scope=SUBMIT,
            summary="Submit up to 1,000 tasks, each for itself",
            body=BatchRequest,
            headers=("traceparent",),
            answers={202: BatchAnswer, **refusals},
        ),
        Route(
            method="GET",
            path="/v1/tasks",
            handler=tasks.list,
            scope=READ,
            summary="List tasks, newest first",
            query=TaskFilter,
            answers={200: list[Task], 422: Problem},
        ),
        Route(
            method="GET",
            path="/v1/tasks/{id}",
            handler=tasks.get,
            scope=READ,
            summary="Get a task, or wait for its end",
            query=Look,
            answers={200: Task, 404: Problem, 422: Problem},
        ),
        Route(
            method="DELETE",
            path="/v1/tasks/{id}",
            handler=tasks.erase,
            scope=SUBMIT,
            summary="Erase a finished task",
            answers={204: None, 404: Problem, 409: Problem},
        ),
        Route(
            method="GET",
            path="/v1/tasks/{id}/events",
            handler=events.stream,
            scope=READ,
            summary="Follow a task live, as Server-Sent Events",
            query=After,
            headers=("Last-Event-ID",),
            answers={200: EVENT_STREAM, 400: Problem, 404: Problem, 422: Problem},
            streams=True,
        ),
        Route(
            method="POST",
            path="/v1/tasks/{id}/cancel",
            handler=tasks.cancel,
            scope=SUBMIT,
            summary="Cancel a task",
            answers={202: Task, 404: Problem},
        ),
        Route(
            method="POST",
            path="/v1/tasks/{id}/retry",
            handler=tasks.retry,
            scope=SUBMIT,
            summary="Queue a dead letter again",
            answers={202: Task, 404: Problem, 409: Problem},
        ),
        Route(
            method="GET",
            path="/v1/dead",
            handler=tasks.dead,
            scope=READ,
            summary="List dead letters, newest first",
            query=TaskPage,
            answers={200: list[Task], 422: Problem},
        ),
    ]


def effect_routes(effects: EffectsDoor) -> list[Route]:
    """What an agent did."""
    return [
        Route(
            method="GET",
            path="/v1/tasks/{id}/effects",
            handler=effects.list,
            scope=READ,
            summary="List a task's effects, in the order in which they began",
            query=EffectPage,
            answers={200: list[EffectView], 404: Problem, 422: Problem},
        ),
        Route(
            method="POST",
            path="/v1/tasks/{id}/effects/{effect}/resolve",
            handler=effects.resolve,
            scope=SUBMIT,
            summary="Settle an effect whose outcome is unknown",
            body=Resolution,
            answers={200: None, 404: Problem, 409: Problem, **OF_BODIES},
        ),
    ]


def conversation_routes(conversations: ConversationsDoor) -> list[Route]:
    """What was said. A name may hold slashes."""
    return [
        Route(
            method="POST",
            path="/v1/conversations",
            handler=conversations.create,
            scope=SUBMIT,
            summary="Make a conversation with the history that it has already",
            tag="conversations",
            body=ConversationRequest,
            answers={201: ConversationView, 409: Problem, **OF_BODIES},
        ),
        Route(
            method="GET",
            path="/v1/conversations",
            handler=conversations.list,
            scope=READ,
            summary="List conversations, newest first",
            tag="conversations",
            query=Page,
            answers={200: list[ConversationView], 422: Problem},
        ),
        Route(
            method="GET",
            path="/v1/conversations/{id:path}",
            handler=conversations.get,
            scope=READ,
            summary="Get a conversation with a page of its history, the latest message first",
            tag="conversations",
            query=HistoryQuery,
            answers={200: HistoryView, 404: Problem, 422: Problem},
        ),
        Route(
            method="DELETE",
            path="/v1/conversations/{id:path}",
            handler=conversations.erase,
            scope=SUBMIT,
            summary="Erase a conversation and its history",
            tag="conversations",
            answers={204: None, 404: Problem, 409: Problem},
        ),
    ]


def signal_routes(signals: SignalDoor) -> list[Route]:
    """What is said to a task."""
    return [
        Route(
            method="POST",
            path="/v1/tasks/{id}/signals/{name}",
            handler=signals.send,
            scope=SUBMIT,
            summary="Send a signal to a task",
            body=SignalRequest,
            answers={202: None, 404: Problem, 409: Problem, **OF_BODIES},
        ),
    ]


def webhook_routes(hooks: WebhooksDoor) -> list[Route]:
    """Who is told of a tenant's tasks."""
    where = "/v1/webhook_endpoints"
    return [
        Route(
            method="POST",
            path=where,
            handler=hooks.create,
            scope=SUBMIT,
            summary="Make a webhook endpoint",
            tag="webhooks",
            body=EndpointRequest,
            answers={201: EndpointWithSecret, 409: Problem, 404: Problem, **OF_BODIES},
        ),
        Route(
            method="GET",
            path=where,
            handler=hooks.list,
            scope=READ,
            summary="List webhook endpoints, newest first",
            tag="webhooks",
            query=EndpointPage,
            answers={200: list[EndpointView], 422: Problem},
        ),
        Route(
            method="GET",
            path="/v1/webhook_event_types",
            handler=hooks.event_types,
            scope=READ,
            summary="List what webhooks can tell of",
            tag="webhooks",
            answers={200: EventTypeList},
        ),
        Route(
            method="GET",
            path=f"{where}/{{id}}",
            handler=hooks.get,
            scope=READ,
            summary="Get a webhook endpoint",
            tag="webhooks",
            answers={200: EndpointView, 404: Problem},
        ),
        Route(
            method="POST",
            path=f"{where}/{{id}}",
            handler=hooks.update,
            scope=SUBMIT,
            summary="Change a webhook endpoint",
            tag="webhooks",
            body=EndpointChange,
            answers={200: EndpointView, 404: Problem, **OF_BODIES},
        ),
        Route(
            method="DELETE",
            path=f"{where}/{{id}}",
            handler=hooks.delete,
            scope=SUBMIT,
            summary="Delete a webhook endpoint",
            tag="webhooks",
            answers={200: DeletedEndpoint, 404: Problem},
        ),
        Route(
            method="POST",
            path=f"{where}/{{id}}/rotate_secret",
            handler=hooks.rotate,
            scope=SUBMIT,
            summary="Give a webhook endpoint another secret",
            tag="webhooks",
            body=RotateRequest,
            answers={200: EndpointWithSecret, 404: Problem, **OF_BODIES},
        ),
        Route(
            method="POST",
            path=f"{where}/{{id}}/test",
            handler=hooks.test,
            scope=SUBMIT,
            summary="Deliver a sample to a webhook endpoint",
            tag="webhooks",
            body=EndpointTestRequest,
            answers={200: EndpointTested, 409: Problem, 404: Problem, **OF_BODIES},
        ),
    ]


def schedule_routes(schedules: SchedulesDoor) -> list[Route]:
    """Tasks that are made when their time has come."""
    one = f"{SCHEDULES}/{{id}}"
    state: dict[int, Any] = {200: ScheduleView, 404: Problem, 409: Problem}
    return [
        Route(
            method="POST",
            path=SCHEDULES,
            handler=schedules.create,
            scope=SUBMIT,
            summary="Make a schedule",
            tag="schedules",
            body=ScheduleRequest,
            answers={201: ScheduleView, 409: Problem, **OF_BODIES},
        ),
        Route(
            method="GET",
            path=SCHEDULES,
            handler=schedules.list,
            scope=READ,
            summary="List schedules, newest first",
            tag="schedules",
            query=SchedulePage,
            answers={200: list[ScheduleView], 422: Problem},
        ),
        Route(
            method="GET",
            path=one,
            handler=schedules.get,
            scope=READ,
            summary="Get a schedule",
            tag="schedules",
            answers={200: ScheduleView, 404: Problem},
        ),
        Route(
            method="PATCH",
            path=one,
            handler=schedules.update,
            scope=SUBMIT,
            summary="Change a schedule",
            tag="schedules",
            body=ScheduleChange,
            answers={200: ScheduleView, 404: Problem, 409: Problem, **OF_BODIES},
        ),
        Route(
            method="DELETE",
            path=one,
            handler=schedules.delete,
            scope=SUBMIT,
            summary="Delete a schedule; its tasks stay",
            tag="schedules",
            answers={204: None, 404: Problem},
        ),
        Route(
            method="POST",
            path=f"{one}/pause",
            handler=schedules.pause,
            scope=SUBMIT,
            summary="Pause a schedule",
            tag="schedules",
            answers=state,
        ),
        Route(
            method="POST",
            path=f"{one}/resume",
            handler=schedules.resume,
            scope=SUBMIT,
            summary="Resume a schedule",
            tag="schedules",
            answers=state,
        ),
        Route(
            method="POST",
            path=f"{one}/trigger",
            handler=schedules.trigger,
            scope=SUBMIT,
            summary="Submit a schedule's task now",
            tag="schedules",
            headers=("Idempotency-Key", "traceparent"),
            answers={202: Task, **dict.fromkeys((400, 404, 409, 422, 429), Problem)},
        ),
    ]


def list_routes(lists: Lists) -> list[Route]:
    """What there is."""
    return [
        Route(
            method="GET",
            path=path,
            handler=handler,
            scope=READ,
            summary=summary,
            tag="fleet",
            query=Page,
            answers={200: list[view], 422: Problem},  # type: ignore[valid-type] # a type made at run time
        )
        for path, handler, summary, view in (
            ("/v1/agents", lists.agents, "List agents", AgentView),
            ("/v1/queues", lists.queues, "List queues", QueueDepth),
            ("/v1/workers", lists.workers, "List live workers", WorkerView),
        )
    ]


def admin_routes(keys: Keys, settings: SettingsDoor) -> list[Route]:
    """What only an administrator may do."""
    return [
        Route(
            method="POST",
            path="/v1/keys",
            handler=keys.create,
            scope=ADMIN,
            summary="Make an API key",
            tag="keys",
            body=KeyRequest,
            answers={201: ShownKey, **OF_BODIES},
        ),
        Route(
            method="GET",
            path="/v1/keys",
            handler=keys.list,
            scope=ADMIN,
            summary="List API keys",
            tag="keys",
            query=KeyPage,
            answers={200: list[KeyRow], 422: Problem},
        ),
        Route(
            method="DELETE",
            path="/v1/keys/{id}",
            handler=keys.revoke,
            scope=ADMIN,
            summary="Revoke an API key",
            tag="keys",
            answers={204: None, 404: Problem},
        ),
        Route(
            method="GET",
            path="/v1/settings/history",
            handler=settings.history,
            scope=ADMIN,
            summary="List changes of settings, newest first",
            tag="settings",
            query=HistoryPage,
            answers={200: list[Change], 422: Problem},
        ),
        Route(
            method="GET",
            path="/v1/settings",
            handler=settings.get,
            scope=ADMIN,
            summary="Read all that is set",
            tag="settings",
            answers={200: Change},
        ),
        Route(
            method="GET",
            path="/v1/settings/{path:path}",
            handler=settings.get,
            scope=ADMIN,
            summary="Read a setting",
            tag="settings",
            answers={200: Change, 404: Problem, 422: Problem},
        ),
        Route(
            method="PUT",
            path="/v1/settings/{path:path}",
            handler=settings.put,
            scope=ADMIN,
            summary="Write a setting",
            tag="settings",
            body=SettingRequest,
            headers=("If-Match",),
            answers={200: Change, 412: Problem, **OF_BODIES},
        ),
        Route(
            method="DELETE",
            path="/v1/settings/{path:path}",
            handler=settings.unset,
            scope=ADMIN,
            summary="Unset a setting: its default is in force again",
            tag="settings",
            query=Reason,
            headers=("If-Match",),
            answers={200: Change, **dict.fromkeys((400, 404, 412, 422, 503), Problem)},
        ),
    ]


def public_routes(probes: Probes) -> list[Route]:
    """What needs no key."""
    return [
        Route(
            method="GET",
            path="/livez",
            handler=probes.livez,
            scope=None,
            summary="Is the process alive?",
            tag="operation",
            answers={200: None},
        ),
        Route(
            method="GET",
            path="/readyz",
            handler=probes.readyz,
            scope=None,
            summary="May requests come here?",
            tag="operation",
            answers={200: Readiness, 503: Readiness},
        ),
        Route(
            method="GET",
            path="/metrics",
            handler=probes.metrics,
            scope=None,
            summary="Metrics for Prometheus",
            tag="operation",
            answers={200: METRICS_TEXT},
        ),
        Route(
            method="GET",
            path="/",
            handler=welcome,
            scope=None,
            summary="What this is",
            tag="operation",
            answers={200: HTML},
        ),
    ]
