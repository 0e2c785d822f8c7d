"""What comes in and goes out at this door, in the words of OpenAI's API."""

from typing import Annotated, Any, Literal

from msgspec import UNSET, Meta, Struct, UnsetType

ResponseStatus = Literal["queued", "in_progress", "completed", "failed", "cancelled"]
MetadataValue = Annotated[str, Meta(max_length=512)]


class ConversationParam(Struct, frozen=True):
    id: str


class ResponseRequest(Struct, frozen=True, kw_only=True):
    """The body of `POST /v1/responses`: what this door acts on. Whatever else it holds goes to the agent where it has a parameter of that
    name, and is shown again where a response has a place for it.
    """

    model: str | None = None
    input: str | list[dict[str, Any]] | None = None
    background: bool | None = None
    stream: bool | None = None
    store: bool | None = None
    metadata: Annotated[dict[str, MetadataValue], Meta(max_length=16)] | None = None
    conversation: str | ConversationParam | None = None
    previous_response_id: str | None = None
    user: str | None = None
    safety_identifier: str | None = None


class Look(Struct, frozen=True, kw_only=True):
    """The query of one response."""

    stream: Annotated[bool, Meta(description="Follow it, as Server-Sent Events.")] = False
    starting_after: (
        Annotated[int, Meta(ge=0, lt=1 << 53, description="Only events with a higher sequence_number.")] | None
    ) = None


class ItemsPage(Struct, frozen=True, kw_only=True):
    """The query of a response's input. A limit out of 1-100 is moved there."""

    limit: int = 20
    after: Annotated[str, Meta(description="The last item that was seen.")] | None = None
    order: Literal["asc", "desc"] = "desc"


class OutputText(Struct, frozen=True, kw_only=True):
    type: Literal["output_text"] = "output_text"
    text: str
    annotations: list[Any] = []
    logprobs: list[Any] = []


class OutputMessage(Struct, frozen=True, kw_only=True):
    """`phase` (`commentary`, `final_answer`) is told in streams, where a model may have spoken before its last words."""

    id: str
    type: Literal["message"] = "message"
    status: Literal["in_progress", "completed", "incomplete"]
    role: Literal["assistant"] = "assistant"
    content: list[OutputText]
    phase: str | UnsetType = UNSET


class ResponseError(Struct, frozen=True, kw_only=True):
    code: str
    message: str


class CachedTokens(Struct, frozen=True, kw_only=True):
    cached_tokens: int
    cache_write_tokens: int = 0


class ReasoningTokens(Struct, frozen=True, kw_only=True):
    reasoning_tokens: int = 0


class ResponseUsage(Struct, frozen=True, kw_only=True):
    input_tokens: int
    input_tokens_details: CachedTokens
    output_tokens: int
    output_tokens_details: ReasoningTokens = ReasoningTokens()
    total_tokens: int


class ConversationView(Struct, frozen=True, kw_only=True):
    id: str


class ResponseView(Struct, frozen=True, kw_only=True):
    """A task as clients of the Responses API see it. From `instructions` on: what the request said, as it said it."""

    id: str
    object: Literal["response"] = "response"
    created_at: int
    status: ResponseStatus
    background: bool
    completed_at: int | None
    error: ResponseError | None
    incomplete_details: None = None
    model: str
    output: list[OutputMessage]
    usage: ResponseUsage | None
    metadata: dict[str, Any]
    conversation: ConversationView | None
    previous_response_id: str | None
    store: bool
    instructions: Any = None
    max_output_tokens: Any = None
    max_tool_calls: Any = None
    parallel_tool_calls: Any = True
    prompt: Any = None
    prompt_cache_key: Any = None
    prompt_cache_retention: Any = None
    reasoning: Any = None
    safety_identifier: Any = None
    service_tier: Any = None
    temperature: Any = None
    text: Any = None
    tool_choice: Any = "auto"
    tools: Any = []
    top_logprobs: Any = None
    top_p: Any = None
    truncation: Any = None
    user: Any = None


class DeletedResponse(Struct, frozen=True, kw_only=True):
    id: str
    object: Literal["response"] = "response"
    deleted: Literal[True] = True


class ItemList(Struct, frozen=True, kw_only=True):
    """A page of the items of a response's input, each in the shape of OpenAI's API."""

    object: Literal["list"] = "list"
    data: list[dict[str, Any]]
    first_id: str | None
    last_id: str | None
    has_more: bool


class ErrorBody(Struct, frozen=True, kw_only=True):
    message: str
    type: str
    param: str | None
    code: str | None


class OpenAIError(Struct, frozen=True, kw_only=True):
    """An error as OpenAI's API shows it."""

    error: ErrorBody


class Kept(Struct, frozen=True, kw_only=True):
    """What a task's metadata keep of the request that made it, under `KEPT`. The input stands in the task's own input under the name
    `input_in`, or here if the agent was given something else. `said`: the parameters that a response shows again.
    """

    background: bool = False
    store: bool = True
    conversation: str | None = None
    previous_response_id: str | None = None
    input_in: str | None = None
    input: str | list[dict[str, Any]] | None = None
    said: dict[str, Any] = {}


KEPT = "dayshift.responses"
