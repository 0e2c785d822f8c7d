"""What each answer of a provider means for us. The one place where that is decided; docs/reference/provider-answers.md shows it.

    ok       an answer: hand it on
    retry    nothing, or nothing usable: asking once more, here or at the next target, may help
    limit    too fast for this credential: its limiter waits, and asks again
    final    asking again in the same way is in vain: hand on what came

Four questions are answered at once, because each of them is asked by somebody else: `kind` by the pipeline, `counts_for_breaker` by
the breaker (is it the provider that is ill, rather than this call?), `may_help_elsewhere` by the fallback (a key without quota
says nothing about the next provider, a prompt that is refused is refused everywhere), `is_unsent` by the limiter (nothing was
used of the limit).

A 4xx never counts for the breaker: the provider was well enough to refuse. A status says more than words do, except where
one status stands for opposite things (429), or where there is none: errors in a 200, errors within a stream.
"""

from collections.abc import Mapping
from typing import Literal, TypeAlias

import msgspec
from msgspec import Struct

from dayshift.llm.formats import Complaint, Event, Format, unframed_complaint
from dayshift.llm.formats.format import surface_of
from dayshift.llm.waits_told import wait_told

LONGEST_ANSWER_BYTES = 64 * 1024 * 1024
"""Whoever reads an answer stops here. The largest honest one we know of (2,048 embeddings of 3,072 numbers) has half of it."""

Kind: TypeAlias = Literal["ok", "retry", "limit", "final"]
Reason: TypeAlias = Literal[
    "ok",
    "server_error",
    "overloaded",
    "timeout",
    "connection",
    "broken_off",
    "malformed",
    "content_type",
    "not_an_answer",
    "too_long",
    "busy",
    "rate_limit",
    "quota",
    "too_large",
    "credentials",
    "not_found",
    "redirect",
    "refused",
    "our_error",
]


class Verdict(Struct, frozen=True, kw_only=True):
    """See above. `retry_after_seconds` is what the provider wished for, within bounds."""

    kind: Kind
    reason: Reason
    retry_after_seconds: float | None = None
    counts_for_breaker: bool = False
    may_help_elsewhere: bool = False
    is_unsent: bool = False

    @property
    def failed(self) -> bool | None:
        """As a breaker wants to be told: None says nothing about the provider."""
        if self.kind == "ok":
            return False
        return True if self.counts_for_breaker else None


OK = Verdict(kind="ok", reason="ok")


def _ill(reason: Reason) -> Verdict:
    return Verdict(kind="retry", reason=reason, counts_for_breaker=True, may_help_elsewhere=True)


def _again(reason: Reason) -> Verdict:
    return Verdict(kind="retry", reason=reason, may_help_elsewhere=True)


def _elsewhere(reason: Reason) -> Verdict:
    return Verdict(kind="final", reason=reason, may_help_elsewhere=True)


def _never(reason: Reason) -> Verdict:
    return Verdict(kind="final", reason=reason)


RATE_LIMIT = Verdict(kind="limit", reason="rate_limit", may_help_elsewhere=True)
TOO_LONG = _ill("too_long")
BROKEN_OFF = _ill("broken_off")
CONTENT_TYPE = _ill("content_type")
_MALFORMED = _ill("malformed")
_SERVER_ERROR = _ill("server_error")

BY_STATUS: dict[int, Verdict] = {
    401: _elsewhere("credentials"),
    402: _elsewhere("quota"),
    403: _elsewhere("credentials"),
    404: _elsewhere("not_found"),
    408: _again("timeout"),
    409: _again("busy"),
    413: _never("too_large"),
    425: _again("busy"),
    429: RATE_LIMIT,
    501: _never("refused"),
    504: _ill("timeout"),
    522: _ill("timeout"),
    524: _ill("timeout"),
    529: _ill("overloaded"),
}

# By the provider's own names, where the status does not tell: in a 429, in a 200, within a stream.
_OUT_OF_MONEY = frozenset(
    {
        "insufficient_quota",
        "credit_balance_exhausted",
        "billing_hard_limit_reached",
        "billing_not_active",
        "organization_usage_limit_exceeded",
        "organization_spend_limit_exceeded",
        "project_spend_limit_exceeded",
        "enforced_spend_limit_reached",
        "contract_spend_limit_reached",
        "linked_organization_spend_limit_reached",
        "billing_error",
        "402",
    }
)
_TOO_FAST = frozenset({"rate_limit_exceeded", "rate_limit_error", "rate_limited", "too_many_requests", "429"})
_BY_NAME: dict[str, Verdict] = {
    **dict.fromkeys(_OUT_OF_MONEY, _elsewhere("quota")),
    **dict.fromkeys(_TOO_FAST, RATE_LIMIT),
    "overloaded_error": _ill("overloaded"),
    "529": _ill("overloaded"),
    "timeout_error": _ill("timeout"),
    "408": _again("timeout"),
    "authentication_error": _elsewhere("credentials"),
    "invalid_api_key": _elsewhere("credentials"),
    "permission_error": _elsewhere("credentials"),
    "401": _elsewhere("credentials"),
    "403": _elsewhere("credentials"),
    "not_found_error": _elsewhere("not_found"),
    "model_not_found": _elsewhere("not_found"),
    "404": _elsewhere("not_found"),
    "request_too_large": _never("too_large"),
    "context_length_exceeded": _never("too_large"),
}
_OF_THE_PROVIDER = frozenset({"server_error", "api_error", "internal_error", "vector_store_timeout"})
_SPEND_LIMIT_WORDS = (
    "You have reached your specified API usage limits",
    "You have reached your specified workspace API",
)
_LARGER_THAN_THE_LIMIT = "Request too large"


def verdict_of(api: Format, status: int, headers: Mapping[str, str], body: bytes) -> Verdict:
    """Judge a whole answer. Names of headers are in lower case, or `headers` knows no case."""
    if 200 <= status < 300:
        return _of_success(api, headers, body)
    complaint = unframed_complaint(surface_of(body) or {})
    return _with_wait(_as_the_provider_wishes(_of_failure(status, complaint), headers), headers, complaint)


def is_stream(status: int, headers: Mapping[str, str]) -> bool:
    """Whether what comes is a stream of events, to be judged one by one; anything else is read whole, and judged by `verdict_of`."""
    return 200 <= status < 300 and _content_type(headers) in ("text/event-stream", "")


def verdict_of_event(api: Format, event: Event) -> Verdict | None:
    """Judge an event of a stream before the first that says something. None: nothing is said yet, read on."""
    if not event.data.strip():
        return None
    if api.is_last(event) and not event.data.lstrip().startswith(b"{"):
        return OK
    said = surface_of(event.data)
    if said is None:
        return _MALFORMED
    complaint = api.complaint_in(said)
    if complaint is not None:
        return _with_wait(_by_name(complaint), {}, complaint)
    return None if api.is_preamble(event) else OK


def verdict_of_error(error: BaseException) -> Verdict:
    """Judge what an HTTP library raised (httpx, httpx2: by the names of its classes), or a time-out of our own."""
    for kind in type(error).__mro__:
        if kind.__name__ in BY_ERROR:
            return BY_ERROR[kind.__name__]
    return _ill("connection") if isinstance(error, OSError) else _never("our_error")


def _unsent(verdict: Verdict) -> Verdict:
    return msgspec.structs.replace(verdict, is_unsent=True)


BY_ERROR: dict[str, Verdict] = {
    "ConnectTimeout": _unsent(_ill("timeout")),
    "ConnectError": _unsent(_ill("connection")),
    "ProxyError": _unsent(_ill("connection")),
    "PoolTimeout": _unsent(_again("busy")),  # our own connections are all in use: the provider has heard nothing
    "TimeoutException": _ill("timeout"),
    "TimeoutError": _ill("timeout"),
    "ReadError": BROKEN_OFF,
    "WriteError": BROKEN_OFF,
    "CloseError": BROKEN_OFF,
    "RemoteProtocolError": BROKEN_OFF,
    "DecodingError": _MALFORMED,
    "TooManyRedirects": _elsewhere("redirect"),
    "UnsupportedProtocol": _unsent(_never("our_error")),
    "LocalProtocolError": _unsent(_never("our_error")),
    "InvalidURL": _unsent(_never("our_error")),
    "NetworkError": _ill("connection"),
    "TransportError": _ill("connection"),
}


def _of_success(api: Format, headers: Mapping[str, str], body: bytes) -> Verdict:
    if len(body) > LONGEST_ANSWER_BYTES:
        return TOO_LONG
    kind = _content_type(headers)
    if kind and not (kind == "application/json" or kind.endswith("+json")):
        return CONTENT_TYPE
    said = surface_of(body)
    if said is None:
        return _MALFORMED
    complaint = api.complaint_in(said)
    if complaint is not None:
        return _with_wait(_by_name(complaint), headers, complaint)
    return OK if api.is_answer(said) else _ill("not_an_answer")


def _of_failure(status: int, complaint: Complaint) -> Verdict:
    if status == 429:
        return _of_429(complaint)
    if status == 400 and complaint.message.startswith(_SPEND_LIMIT_WORDS):
        return _elsewhere("quota")
    if status == 400 and "context_length_exceeded" in complaint.names:
        return _never("too_large")
    if status in BY_STATUS:
        return BY_STATUS[status]
    if status >= 500:
        return _SERVER_ERROR
    return _elsewhere("redirect") if 300 <= status < 400 else _never("refused")


def _of_429(complaint: Complaint) -> Verdict:
    """Three kinds: slow down; there is no money left; larger than the whole limit."""
    if complaint.names & _OUT_OF_MONEY:
        return _elsewhere("quota")
    return _elsewhere("too_large") if complaint.message.startswith(_LARGER_THAN_THE_LIMIT) else RATE_LIMIT


def _by_name(complaint: Complaint) -> Verdict:
    """An error that no status tells of."""
    if complaint.names & _TOO_FAST:
        return _of_429(complaint)
    known = [_BY_NAME[name] for name in sorted(complaint.names) if name in _BY_NAME]
    if known:
        return known[0]
    if complaint.names and not complaint.names & _OF_THE_PROVIDER and not _is_of_5xx(complaint):
        return _never("refused")
    return _SERVER_ERROR


def _is_of_5xx(complaint: Complaint) -> bool:
    return any(len(name) == 3 and name.isdecimal() and name.startswith("5") for name in complaint.names)


def _as_the_provider_wishes(verdict: Verdict, headers: Mapping[str, str]) -> Verdict:
    """`x-should-retry`, which the official SDKs obey: a provider knows better than its status tells."""
    wish = headers.get("x-should-retry")
    if wish == "false" and verdict.kind == "limit":
        return _elsewhere("quota")  # waiting for the limit would be in vain
    if wish == "false" and verdict.kind == "retry":
        return msgspec.structs.replace(verdict, kind="final")
    if wish == "true" and verdict.kind == "final":
        return msgspec.structs.replace(verdict, kind="retry", may_help_elsewhere=True)
    return verdict


def _with_wait(verdict: Verdict, headers: Mapping[str, str], complaint: Complaint) -> Verdict:
    if verdict.kind not in ("retry", "limit"):
        return verdict
    return msgspec.structs.replace(verdict, retry_after_seconds=wait_told(headers, complaint.message))


def _content_type(headers: Mapping[str, str]) -> str:
    return headers.get("content-type", "").partition(";")[0].strip().lower()
