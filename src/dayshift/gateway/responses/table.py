"""The routes of this door."""

from dayshift.domain.api_keys import READ, SUBMIT
from dayshift.gateway.responses.door import ResponsesDoor
from dayshift.gateway.responses.errors import openai_reply_to
from dayshift.gateway.responses.shapes import (
    DeletedResponse,
    ItemList,
    ItemsPage,
    Look,
    OpenAIError,
    ResponseRequest,
    ResponseView,
)
from dayshift.gateway.routes import Dialect, Route

OPENAI = Dialect(error=OpenAIError, reply_to=openai_reply_to)


def response_routes(door: ResponsesDoor) -> list[Route]:
    """What OpenAI's clients ask for."""
    one = "/v1/responses/{id}"
    missing = {404: OpenAIError, 503: OpenAIError}
    return [
        Route(
            method="POST",
            path="/v1/responses",
            handler=door.create,
            scope=SUBMIT,
            summary="Make a response; `model` is the agent",
            tag="responses",
            body=ResponseRequest,
            headers=("Idempotency-Key", "traceparent"),
            answers={
                200: ResponseView,
                **dict.fromkeys((400, 409, 413, 415, 422, 429, 503), OpenAIError),
            },
            dialect=OPENAI,
        ),
        Route(
            method="GET",
            path=one,
            handler=door.get,
            scope=READ,
            summary="Get a response, or follow it live",
            tag="responses",
            query=Look,
            answers={200: ResponseView, 400: OpenAIError, 429: OpenAIError, **missing},
            streams=True,
            dialect=OPENAI,
        ),
        Route(
            method="DELETE",
            path=one,
            handler=door.delete,
            scope=SUBMIT,
            summary="Erase a finished response",
            tag="responses",
            answers={200: DeletedResponse, 409: OpenAIError, **missing},
            dialect=OPENAI,
        ),
        Route(
            method="POST",
            path=f"{one}/cancel",
            handler=door.cancel,
            scope=SUBMIT,
            summary="Cancel a response",
            tag="responses",
            answers={200: ResponseView, 429: OpenAIError, **missing},
            dialect=OPENAI,
        ),
        Route(
            method="GET",
            path=f"{one}/input_items",
            handler=door.input_items,
            scope=READ,
            summary="List what a response was asked",
            tag="responses",
            query=ItemsPage,
            answers={200: ItemList, 400: OpenAIError, **missing},
            dialect=OPENAI,
        ),
    ]
