"""Problems: every error as `application/problem+json` (RFC 9457), and the one table from our errors to HTTP statuses."""

from http import HTTPStatus

import msgspec
from msgspec import UNSET, Struct, UnsetType

from dayshift.domain.errors import (
    Conflict,
    DayshiftError,
    DependencyAway,
    FieldError,
    InvalidInput,
    NotFound,
    Refused,
    Superseded,
    WrongUse,
)
from dayshift.gateway.rate_headers import rate_headers
from dayshift.gateway.replies import Headers, Reply, header
from dayshift.tasks.rates import RateLimited

TYPE_BASE = "https://dayshift.dev/problems/"
_CONTENT_TYPE = header("content-type", "application/problem+json")
_DEFAULT_RETRY_AFTER_SECONDS = 1.0


class Problem(Struct, frozen=True, kw_only=True):
    """An error as clients see it. `code` is a stable word for programs, `detail` a sentence with the cure."""

    type: str
    title: str
    status: int
    detail: str
    code: str
    errors: list[FieldError] | UnsetType = UNSET
    retry_after: float | UnsetType = UNSET


class HttpError(DayshiftError):
    """What only HTTP knows: a wrong method, media type or header. `status` is its own."""

    def __init__(
        self, status: int, code: str, message: str, *, headers: Headers = (), retry_after_seconds: float | None = None
    ) -> None:
        super().__init__(message, code=code, retry_after_seconds=retry_after_seconds)
        self.status = status
        self.headers = headers


# The first line that fits decides, so a class stands before its parents.
_STATUSES: list[tuple[type[DayshiftError], int]] = [
    (InvalidInput, 422),
    (WrongUse, 422),
    (NotFound, 404),
    (Conflict, 409),
    (Superseded, 409),
    (Refused, 429),
    (DependencyAway, 503),
    (DayshiftError, 500),
]

# Codes whose status differs from that of their class.
_STATUS_BY_CODE = {"version_mismatch": 412, "settings_changed": 412}


def status_of(error: DayshiftError) -> int:
    """The HTTP status of one of our errors."""
    if isinstance(error, HttpError):
        return error.status
    by_code = _STATUS_BY_CODE.get(error.code)
    if by_code is not None:
        return by_code
    return next(status for kind, status in _STATUSES if isinstance(error, kind))


def problem_of(error: DayshiftError) -> Problem:
    """One of our errors as a problem."""
    status = status_of(error)
    wait = error.retry_after_seconds
    if wait is None and status in {429, 503}:
        wait = _DEFAULT_RETRY_AFTER_SECONDS
    return Problem(
        type=TYPE_BASE + error.code.replace("_", "-"),
        title=HTTPStatus(status).phrase,
        status=status,
        detail=error.message,
        code=error.code,
        errors=(error.errors or UNSET) if isinstance(error, InvalidInput) else UNSET,
        retry_after=UNSET if wait is None else wait,
    )


def reply_to(error: DayshiftError) -> Reply:
    """The answer for one of our errors, with the headers that belong to it."""
    problem = problem_of(error)
    headers: list[tuple[bytes, bytes]] = [_CONTENT_TYPE]
    if not isinstance(problem.retry_after, UnsetType):
        whole_seconds = max(1, int(-(-problem.retry_after // 1)))
        headers.append(header("retry-after", str(whole_seconds)))
        if isinstance(error, RateLimited):
            headers += rate_headers(error.quotas)
        elif isinstance(error, Refused):
            headers += _rate_limit(problem.code, error.limit, whole_seconds)
    if isinstance(error, HttpError):
        headers += error.headers
    return Reply(problem.status, msgspec.json.encode(problem), headers)


def the_unexpected() -> HttpError:
    """What is said of an error that nobody foresaw. It tells the outside nothing about the inside."""
    return HttpError(
        500,
        "internal_error",
        "something failed here that should not have; the gateway's log says what. Try again later.",
    )


def _rate_limit(name: str, limit: int | None, whole_seconds: int) -> Headers:
    """`RateLimit` and `RateLimit-Policy` (draft-ietf-httpapi-ratelimit-headers): nothing is left, until then."""
    return [
        header("ratelimit", f'"{name}";r=0;t={whole_seconds}'),
        header("ratelimit-policy", f'"{name}";q={limit or 0}'),
    ]
