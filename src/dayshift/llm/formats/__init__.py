"""What dayshift knows of providers' JSON, one API a file: which requests are calls, what in them makes two the same, when a
stream has said all, and what was used. Provider JSON is read nowhere else.
"""

from dayshift.llm.formats.anthropic_messages import MESSAGES
from dayshift.llm.formats.errors import Complaint, ErrorKind, unframed_complaint
from dayshift.llm.formats.format import Format
from dayshift.llm.formats.openai_chat import CHAT
from dayshift.llm.formats.openai_embeddings import EMBEDDINGS
from dayshift.llm.formats.openai_responses import RESPONSES
from dayshift.llm.formats.sse import Event, EventSplitter, StreamTooLong

OPENAI = (CHAT, RESPONSES, EMBEDDINGS)
ANTHROPIC = (MESSAGES,)

__all__ = [
    "ANTHROPIC",
    "CHAT",
    "EMBEDDINGS",
    "MESSAGES",
    "OPENAI",
    "RESPONSES",
    "Complaint",
    "ErrorKind",
    "Event",
    "EventSplitter",
    "Format",
    "StreamTooLong",
    "unframed_complaint",
]
