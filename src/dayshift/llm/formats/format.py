"""What every format says of its API."""

from collections.abc import Callable, Mapping
from typing import Any

import msgspec
from msgspec import Struct

from dayshift.domain.task import Usage
from dayshift.llm.formats.errors import Complaint, ErrorKind
from dayshift.llm.formats.sse import Event

Body = Mapping[str, Any]


class Format(Struct, frozen=True, kw_only=True):
    """One API of a provider.

    `path` is below the provider's address. `ignored` are the fields that do not change what is asked for. `headers` are
    those that do. `messages_in` names the field whose items are compared one by one. `is_last` knows the event that ends a
    stream, `is_preamble` those before its first token; `usage_in` what an answer or an event says of tokens.

    `is_answer` knows the body of a whole answer, `complaint_in` an error in the place of it, or of an event. `error_body` says
    an error of our own in the provider's words: its status and its body.
    """

    name: str
    path: str
    ignored: frozenset[str]
    headers: tuple[str, ...] = ()
    messages_in: str
    is_last: Callable[[Event], bool]
    is_preamble: Callable[[Event], bool] = lambda _event: False
    usage_in: Callable[[Body], Usage | None]
    is_answer: Callable[[Body], bool]
    complaint_in: Callable[[Body], Complaint | None]
    error_body: Callable[[str, ErrorKind], tuple[int, bytes]]

    def usage_of(self, answer: bytes) -> Usage:
        """What a whole answer used; a call without tokens when it does not say."""
        return self.usage_in(object_in(answer)) or Usage(llm_calls=1)

    def usage_of_events(self, events: list[Event]) -> Usage:
        """What a stream used: the last word counts for each number."""
        total = Usage(llm_calls=1)
        for event in events:
            said = self.usage_in(object_in(event.data))
            if said is not None:
                total = Usage(
                    llm_calls=1,
                    input_tokens=said.input_tokens or total.input_tokens,
                    output_tokens=said.output_tokens or total.output_tokens,
                    cached_tokens=said.cached_tokens or total.cached_tokens,
                )
        return total


def object_in(text: bytes) -> Body:
    """A JSON object; an empty one where it is none."""
    try:
        found = msgspec.json.decode(text)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        return {}
    return found if isinstance(found, dict) else {}


def number(body: Any, *path: str) -> int:
    """A count somewhere in a body; 0 where it is missing or no number."""
    for name in path:
        body = body.get(name) if isinstance(body, dict) else None
    return body if isinstance(body, int) and not isinstance(body, bool) else 0
