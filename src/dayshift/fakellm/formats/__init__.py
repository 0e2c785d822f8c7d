"""The providers' JSON, a dialect a file; every shape here was compared with recorded exchanges."""

from dayshift.fakellm.formats.anthropic_messages import ANTHROPIC_MESSAGES
from dayshift.fakellm.formats.format import Format, Frames
from dayshift.fakellm.formats.openai_chat import OPENAI_CHAT
from dayshift.fakellm.formats.openai_embeddings import OPENAI_EMBEDDINGS
from dayshift.fakellm.formats.openai_responses import OPENAI_RESPONSES

BY_PATH: dict[str, Format] = {
    "/v1/chat/completions": OPENAI_CHAT,
    "/v1/responses": OPENAI_RESPONSES,
    "/v1/embeddings": OPENAI_EMBEDDINGS,
    "/v1/messages": ANTHROPIC_MESSAGES,
}

__all__ = ["ANTHROPIC_MESSAGES", "BY_PATH", "OPENAI_CHAT", "OPENAI_EMBEDDINGS", "OPENAI_RESPONSES", "Format", "Frames"]
