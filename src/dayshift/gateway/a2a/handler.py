"""The SDK's `RequestHandler` over our tasks: every A2A task is a task like any other, whichever gateway is asked for it.

The SDK's own handler runs agents in the process that was asked, and knows of them while it lives. Here an agent runs where
workers are; so this only says things to tasks, looks at them, and follows their streams.

A message without a task makes one. A message to a task that waits for a signal is that signal's payload; its metadata may
name another signal (`signal`), also of a task that runs. A blocking send waits until the task has ended or asks for
something, for as long as its client stays.
"""

from collections.abc import AsyncGenerator, Callable
from contextlib import aclosing

from a2a.server.context import ServerCallContext
from a2a.server.events.event_queue import Event
from a2a.server.request_handlers.request_handler import RequestHandler
from a2a.types import a2a_pb2 as pb
from a2a.utils.errors import (
    TaskNotCancelableError,
    TaskNotFoundError,
    UnsupportedOperationError,
)
from a2a.utils.proto_utils import validate_proto_required_fields
from a2a.utils.task import apply_history_length, validate_history_length

from dayshift.domain.settings import Settings
from dayshift.domain.task import Status
from dayshift.gateway.a2a.calls import call_of
from dayshift.gateway.a2a.cards import extended_card
from dayshift.gateway.a2a.contexts import Contexts
from dayshift.gateway.a2a.following import Following
from dayshift.gateway.a2a.found import Finder
from dayshift.gateway.a2a.pushes import Pushes, push_shown
from dayshift.gateway.a2a.saying import Saying
from dayshift.gateway.a2a.shown import reply_shown
from dayshift.tasks.services import Services

CANCEL_SECONDS = 5.0


class TaskHandler(RequestHandler):
    def __init__(self, services: Services, settings: Callable[[], Settings]) -> None:
        self._services = services
        self._finder = Finder(services)
        self._following = Following(services)
        self._saying = Saying(services, settings, self._following)
        self._pushes = Pushes(services, settings)
        self._contexts = Contexts(services.ledger)

    async def on_message_send(self, params: pb.SendMessageRequest, context: ServerCallContext) -> pb.Task | pb.Message:
        call = call_of(context)
        if not params.configuration.return_immediately:
            call.request.stay()
        task, after = await self._saying.said(params, call)
        if not params.configuration.return_immediately:
            task = await self._following.settled(task, after, call)
        if (reply := reply_shown(task)) is not None:
            return reply
        return apply_history_length(await self._finder.shown(task), params.configuration)

    async def on_message_send_stream(
        self, params: pb.SendMessageRequest, context: ServerCallContext
    ) -> AsyncGenerator[Event]:
        call = call_of(context)
        call.request.stay()
        task, after = await self._saying.said(params, call)
        yield apply_history_length(await self._finder.shown(task), params.configuration)
        async with aclosing(self._following.updates(task, after)) as updates:
            async for update in updates:
                yield update

    async def on_subscribe_to_task(
        self, params: pb.SubscribeToTaskRequest, context: ServerCallContext
    ) -> AsyncGenerator[Event]:
        after = await self._following.last_event(params.id)
        task = await self._finder.task(params.id, call_of(context))
        if task.is_final:
            raise UnsupportedOperationError(f"the task has ended: it is {task.status}")
        yield await self._finder.shown(task)
        async with aclosing(self._following.updates(task, after)) as updates:
            async for update in updates:
                yield update

    async def on_get_task(self, params: pb.GetTaskRequest, context: ServerCallContext) -> pb.Task:
        validate_history_length(params)
        return apply_history_length(
            await self._finder.shown(await self._finder.task(params.id, call_of(context))), params
        )

    async def on_list_tasks(self, params: pb.ListTasksRequest, context: ServerCallContext) -> pb.ListTasksResponse:
        return await self._contexts.page(params, call_of(context))

    async def on_cancel_task(self, params: pb.CancelTaskRequest, context: ServerCallContext) -> pb.Task:
        """A task that runs is answered as it is when its worker has not stopped it within a moment."""
        call = call_of(context)
        call.request.stay()
        task = await self._finder.task(params.id, call)
        if not task.is_final:
            task = await self._services.control.cancel(task.id, task.tenant)
            if not task.is_final:
                call.request.rest()
                ended = await self._services.waiters.wait(task.id, task.tenant, CANCEL_SECONDS, known=True)
                task = ended or await self._finder.task(task.id, call)
            if not task.is_final or task.status is Status.CANCELLED:
                return await self._finder.shown(task)
        raise TaskNotCancelableError(f"the task has ended: it is {task.status}")

    async def on_create_task_push_notification_config(
        self, params: pb.TaskPushNotificationConfig, context: ServerCallContext
    ) -> pb.TaskPushNotificationConfig:
        validate_proto_required_fields(params)
        task = await self._finder.task(params.task_id, call_of(context))
        return await self._pushes.tell(task, params)

    async def on_get_task_push_notification_config(
        self, params: pb.GetTaskPushNotificationConfigRequest, context: ServerCallContext
    ) -> pb.TaskPushNotificationConfig:
        task = await self._finder.task(params.task_id, call_of(context))
        kept = (await self._finder.kept(task)).push.get(params.id)
        if kept is None:
            raise TaskNotFoundError(f"this task has no push notification config {params.id[:100]!r}")
        return push_shown(task.id, params.id, kept)

    async def on_list_task_push_notification_configs(
        self, params: pb.ListTaskPushNotificationConfigsRequest, context: ServerCallContext
    ) -> pb.ListTaskPushNotificationConfigsResponse:
        """All of them, in one page: there are no more than ten."""
        task = await self._finder.task(params.task_id, call_of(context))
        kept = sorted((await self._finder.kept(task)).push.items())
        return pb.ListTaskPushNotificationConfigsResponse(configs=[push_shown(task.id, *one) for one in kept])

    async def on_delete_task_push_notification_config(
        self, params: pb.DeleteTaskPushNotificationConfigRequest, context: ServerCallContext
    ) -> None:
        task = await self._finder.task(params.task_id, call_of(context))
        await self._pushes.drop(task, params.id)

    async def on_get_extended_agent_card(
        self, params: pb.GetExtendedAgentCardRequest, context: ServerCallContext
    ) -> pb.AgentCard:
        del params  # it could name a tenant, which the key does
        call = call_of(context)
        return extended_card(call.agent, call.request)
