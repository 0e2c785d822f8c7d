"""OpenAI embeddings, which are never streamed."""

from dayshift.llm.formats.errors import complaint_in, openai_error
from dayshift.llm.formats.format import Format
from dayshift.llm.formats.openai_chat import IGNORED, usage_from

EMBEDDINGS = Format(
    name="embeddings",
    provider="openai",
    path="/embeddings",
    ignored=IGNORED,
    is_deterministic=True,
    messages_in="input",
    is_last=lambda _event: False,
    usage_from=usage_from,
    is_answer=lambda body: isinstance(body.get("data"), list),
    complaint_in=complaint_in,
    error_body=openai_error,
)
