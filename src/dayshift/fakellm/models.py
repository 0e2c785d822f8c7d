"""`GET /v1/models`: any model name is answered, so the list only names a few that real code asks for."""

from typing import Any

from dayshift.fakellm.exchange import Reply, Request, json_reply

NAMES = ("gpt-4o-mini", "gpt-4.1-mini", "gpt-5", "text-embedding-3-small", "claude-sonnet-5", "claude-opus-4-8")
CREATED_UNIX = 1_735_689_600
CREATED_TEXT = "2025-01-01T00:00:00Z"


def answer_models(request: Request) -> Reply:
    """The list, or one model by name, in Anthropic's shape when the caller names that API's version."""
    describe = _anthropic if b"anthropic-version" in request.headers else _openai
    name = request.path.removeprefix("/v1/models").strip("/")
    if name:
        return json_reply(200, describe(name))
    data = [describe(name) for name in NAMES]
    if describe is _openai:
        return json_reply(200, {"object": "list", "data": data})
    return json_reply(200, {"data": data, "has_more": False, "first_id": NAMES[0], "last_id": NAMES[-1]})


def _openai(name: str) -> dict[str, Any]:
    return {"id": name, "object": "model", "created": CREATED_UNIX, "owned_by": "fakellm"}


def _anthropic(name: str) -> dict[str, Any]:
    return {"type": "model", "id": name, "display_name": name, "created_at": CREATED_TEXT}
