"""What a gateway means when it refuses (RFC 9457), as the errors of the house."""

import msgspec
from msgspec import Struct

from dayshift.domain.errors import (
    Conflict,
    DayshiftError,
    DependencyAway,
    FieldError,
    InvalidInput,
    NotFound,
    Refused,
)

_KINDS: dict[int, type[DayshiftError]] = {404: NotFound, 409: Conflict, 412: Conflict, 429: Refused}


class Problem(Struct):
    """The body of a refusal."""

    detail: str = ""
    title: str = ""
    code: str = "error"
    errors: list[FieldError] = []
    retry_after: float | None = None

    @classmethod
    def of(cls, body: bytes) -> "Problem":
        """Read it; an empty one where it is none, as from a proxy."""
        try:
            return msgspec.json.decode(body, type=cls)
        except msgspec.DecodeError:
            return cls()


def error_of(status: int, said: str, problem: Problem) -> DayshiftError:
    """The error of the house that the gateway meant by a status."""
    if status in {400, 405, 413, 415, 422}:
        return InvalidInput(said, problem.errors, code=problem.code)
    if status == 429:
        said = f"{said}; try again in {problem.retry_after or 1:g} s"
    kind = _KINDS.get(status, DependencyAway if status >= 500 else DayshiftError)
    return kind(said, code=problem.code, retry_after_seconds=problem.retry_after)
