"""What every format says of its API."""

import math
from collections.abc import Callable, Iterable, Mapping
from typing import Any

import msgspec
from msgspec import Struct

from dayshift.domain.effect import CallUsage
from dayshift.llm.formats.errors import Complaint, ErrorKind
from dayshift.llm.formats.measure import may_add, tokens_of
from dayshift.llm.formats.sse import Event

LAST_WORDS = 3  # events at a stream's end, of which one is the last
MOST_TOKENS = 10**12  # what a provider says beyond that is a mistake, and must not become a number that nothing holds

Body = Mapping[str, Any]


class Format(Struct, frozen=True, kw_only=True):
    """One API of a provider.

    An API that `is_deterministic` answers equal calls equally. `path` is below the provider's address. `ignored` are the fields that do not change what is asked for. `headers` are
    those that do. `messages_in` names the field whose items are compared one by one. `is_last` knows the event that ends a
    stream, `is_preamble` those before its first token. `answer_in` finds the answer that a body is, or the beginning or end of it
    that an event carries; `usage_from` reads what such an answer says of tokens. `provider` speaks this API by itself; others
    do as well.

    `is_answer` knows the body of a whole answer, `complaint_in` an error in the place of it, or of an event. `error_body` says
    an error of our own in the provider's words: its status and its body.
    """

    name: str
    provider: str
    path: str
    ignored: frozenset[str]
    headers: tuple[str, ...] = ()
    is_deterministic: bool = False
    messages_in: str
    is_last: Callable[[Event], bool]
    is_preamble: Callable[[Event], bool] = lambda _event: False
    text_in: Callable[[Event], str] = lambda _event: ""
    answer_in: Callable[[Body], Body] = lambda body: body
    usage_from: Callable[[Body], CallUsage]
    is_answer: Callable[[Body], bool]
    complaint_in: Callable[[Body], Complaint | None]
    error_body: Callable[[str, ErrorKind], tuple[int, bytes]]

    def complains(self, event: Event) -> bool:
        """Whether an event brings an error in the place of the answer."""
        return self.complaint_in(object_in(event.data)) is not None

    def usage_of(self, answer: bytes) -> CallUsage:
        """What a whole answer used; a call without tokens when it does not say."""
        return self._usage_of([answer])

    def usage_of_events(self, events: list[Event]) -> CallUsage:
        """What a stream used: the last word counts for each number. Where it was left before its end, or does not say, its output is
        measured, and the input left to whoever knows what was asked.
        """
        usage = self._usage_of(event.data for event in events)
        if usage.output_tokens and any(self.is_last(event) for event in events[-LAST_WORDS:]):
            return usage
        measured = tokens_of(object_in(event.data) for event in events if may_add(event))
        if measured <= usage.output_tokens:
            return usage
        return msgspec.structs.replace(usage, output_tokens=measured, is_estimated=True)

    def _usage_of(self, texts: Iterable[bytes]) -> CallUsage:
        said: dict[str, Any] = {}
        model, tier = "", None
        for text in texts:
            if model and not _may_tell(text):
                continue
            answer = self.answer_in(surface_of(text) or {})
            model = model or word(answer, "model") or ""
            tier = word(answer, "service_tier") or tier
            usage = answer.get("usage")
            if isinstance(usage, dict):
                said |= {name: value for name, value in usage.items() if value or name not in said}
        usage = self.usage_from(said)
        tier = usage.service_tier or tier
        return msgspec.structs.replace(usage, llm_calls=1, provider=self.provider, model=model, service_tier=tier)


def _may_tell(text: bytes) -> bool:
    """Most events of a stream are a word of text each: once the model is known, those need not be read."""
    return b'"usage"' in text and b'"usage":null' not in text


def object_in(text: bytes) -> Body:
    """A JSON object; an empty one where it is none."""
    try:
        found = msgspec.json.decode(text)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        return {}
    return found if isinstance(found, dict) else {}


def surface_of(text: bytes) -> Body | None:
    """A JSON object; None where it is none. The lists of a long one are left empty: what an answer is long by lies in lists (choices,
    output, embeddings), which nobody here reads, so they are looked over and not built.
    """
    try:
        if len(text) < LONG_BYTES:
            found = msgspec.json.decode(text)
            return found if isinstance(found, dict) else None
        return {name: _read(bytes(raw)) for name, raw in _fields.decode(text).items()}
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        return None


LONG_BYTES = 8 * 1024
_fields = msgspec.json.Decoder(dict[str, msgspec.Raw])


def _read(value: bytes) -> Any:
    return [] if value.startswith(b"[") else msgspec.json.decode(value)


def object_at(body: Any, name: str) -> Body | None:
    """An object within a body, if it is one."""
    found = body.get(name)
    return found if isinstance(found, dict) else None


def word(body: Any, name: str) -> str | None:
    """A text in a body; None where it is missing or no text."""
    found = body.get(name)
    return found if isinstance(found, str) and found else None


def number(body: Any, *path: str) -> int:
    """A count somewhere in a body; 0 where it is missing or no number."""
    for name in path:
        body = body.get(name) if isinstance(body, dict) else None
    return min(max(body, 0), MOST_TOKENS) if isinstance(body, int) and not isinstance(body, bool) else 0


def amount(body: Any, name: str) -> float | None:
    """A sum of money in a body; None where it is missing, or none that could be paid."""
    found = body.get(name)
    is_number = isinstance(found, (int, float)) and not isinstance(found, bool)
    return float(found) if is_number and 0 <= found < math.inf else None


def counted(**counts: int) -> dict[str, int]:
    """Those that are not 0."""
    return {name: count for name, count in counts.items() if count}
