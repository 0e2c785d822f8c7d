"""What can go wrong, as a tree. A door maps a class to its status or exit code; the sentence says the cure.

DayshiftError
├── WrongUse              the call or the configuration is wrong; nothing was changed           exit 2
│   └── InvalidInput      data that fails validation, with a path for each fault                 422
├── NotFound              no such task, agent, key, setting, for this tenant                     404
├── Conflict              somebody else was first (compare-and-set, conversation, state)         409, 412
├── Refused               not now: depth or rate reached; says when to try again                 429
│   └── BudgetSpent       what may be spent is spent; says by whom, how much, and until when     429, final
├── DependencyAway        a dependency does not answer; says when to try again                   503
│   ├── LedgerAway        PostgreSQL
│   └── PlaneAway         Valkey: unreachable, or empty and being rebuilt (PlaneNotReady)
│       └── PlaneNotReady
├── Diverged              a strict agent did not do again what it had done                      final
└── Superseded            a newer attempt has taken over: stop, and write nothing more
"""

from datetime import datetime
from typing import Literal

from msgspec import Struct


class FieldError(Struct, frozen=True):
    """One fault in some input: where (a dotted path, `input.items[2].name`), and what to do about it."""

    path: str
    message: str


class DayshiftError(Exception):
    """Base of all errors that dayshift raises on purpose. `code` is a stable word for programs."""

    code = "error"

    def __init__(self, message: str, *, code: str | None = None, retry_after_seconds: float | None = None) -> None:
        super().__init__(message)
        self.message = message
        self.retry_after_seconds = retry_after_seconds
        if code is not None:
            self.code = code


class WrongUse(DayshiftError):
    code = "wrong_use"


class InvalidInput(WrongUse):
    code = "invalid_input"

    def __init__(self, message: str, errors: list[FieldError] | None = None, *, code: str | None = None) -> None:
        super().__init__(message, code=code)
        self.errors = errors or []


class NotFound(DayshiftError):
    code = "not_found"


class Conflict(DayshiftError):
    code = "conflict"


class Refused(DayshiftError):
    """`limit` is how much the limit that was reached allows, for those who show it."""

    code = "refused"

    def __init__(
        self,
        message: str,
        *,
        code: str | None = None,
        retry_after_seconds: float | None = None,
        limit: int | None = None,
    ) -> None:
        super().__init__(message, code=code, retry_after_seconds=retry_after_seconds)
        self.limit = limit


class BudgetSpent(Refused):
    """A call would spend more than a setting allows. Amounts are US dollars or tokens, as `unit` says: what is `spent`, what calls under
    way `held` of it, and what this one `needed`. `resets_at`: when the period ends, if it ever does.
    """

    code = "budget_spent"

    def __init__(
        self,
        message: str,
        *,
        setting: str,
        unit: Literal["usd", "tokens"],
        allowed: float,
        spent: float,
        held: float,
        needed: float,
        resets_at: datetime | None,
        retry_after_seconds: float | None,
        on_breach: Literal["fail", "approval"] = "fail",
    ) -> None:
        super().__init__(message, retry_after_seconds=retry_after_seconds, limit=int(allowed))
        self.setting = setting
        self.unit = unit
        self.allowed = allowed
        self.spent = spent
        self.held = held
        self.needed = needed
        self.resets_at = resets_at
        self.on_breach = on_breach


class DependencyAway(DayshiftError):
    code = "dependency_away"


class LedgerAway(DependencyAway):
    code = "ledger_away"


class PlaneAway(DependencyAway):
    code = "plane_away"


class PlaneNotReady(PlaneAway):
    code = "plane_not_ready"


class Superseded(DayshiftError):
    code = "superseded"


class Diverged(DayshiftError):
    code = "diverged"


class Stopped(BaseException):
    """The attempt was told to stop, and its code ends here. No error, so that `except Exception` does not meet it: let it pass."""


class Parked(Stopped):
    """The task is parked: its code ends here, and goes on in a later attempt, from the top and over its journal."""
