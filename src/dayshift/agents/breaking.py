"""A tool's breaker: when what a tool talks to keeps failing, it is left alone for a while, and the agent is told at once.

Each worker process counts for itself, one breaker a tool. What the agent is told is an ordinary error of its own
(`ToolUnavailable`): it may take another way, or end with it, and then its next attempt comes when the tool may be tried again.
"""

from msgspec import Struct

from dayshift.agents.errors import Fatal, Retry
from dayshift.domain import breaker
from dayshift.domain.errors import DayshiftError, WrongUse
from dayshift.domain.events import ToolBreakerChanged
from dayshift.telemetry import emit

# What is wrong with the call rather than with the tool: it says nothing about whether the next call would go well.
_OF_THE_CALL = (
    Fatal,
    DayshiftError,
    ValueError,
    TypeError,
    LookupError,
    ArithmeticError,
    AttributeError,
    AssertionError,
)
_STATUSES_OF_THE_OTHER_SIDE = frozenset({408, 429})


class Breaker(Struct, frozen=True, kw_only=True):
    """When a tool's breaker opens: of at least `min_calls` in `window` seconds, `error_ratio` failed; and for how many seconds.

    `counts` names the exceptions that count as failed. Without it all do but those that are about the call itself: Fatal,
    ValueError, TypeError, LookupError and the like, and HTTP errors with a 4xx status other than 408 and 429.
    """

    error_ratio: float = 0.5
    window: float = 60
    min_calls: int = 10
    open: float = 30
    counts: tuple[type[Exception], ...] | None = None

    def __post_init__(self) -> None:
        if not (0 < self.error_ratio <= 1 and self.window > 0 and self.min_calls >= 1 and self.open > 0):
            raise WrongUse(
                f"{self!r}: error_ratio must be above 0 and at most 1, min_calls 1 or more, the others above 0"
            )


class ToolUnavailable(Retry):
    """A tool was not called: it has failed too often of late. `after` says in how many seconds it may be tried again."""


class ToolBreaker:
    """The breaker of one tool in this process."""

    def __init__(self, tool: str, wanted: Breaker) -> None:
        self._tool = tool
        self._counts = wanted.counts
        rule = breaker.BreakerRule(
            error_ratio=wanted.error_ratio,
            window_seconds=wanted.window,
            min_calls=wanted.min_calls,
            open_seconds=wanted.open,
        )
        self._breaker = breaker.Breaker(rule, on_change=self._tell)

    def admit(self) -> breaker.Admission:
        """Ask to call. Raises ToolUnavailable."""
        answer = self._breaker.admit()
        if isinstance(answer, breaker.Refusal):
            seconds = answer.after_seconds
            raise ToolUnavailable(
                seconds, f"tool {self._tool} fails too often, so it is not called for another {seconds:.1f} s"
            )
        return answer

    def settle(self, admission: breaker.Admission, error: BaseException | None) -> None:
        """Tell how the call went: what it raised, or None. One that was cancelled says nothing."""
        is_given_up = error is not None and not isinstance(error, Exception)
        self._breaker.settle(admission, failed=None if is_given_up else self._is_failure(error))

    def _is_failure(self, error: BaseException | None) -> bool:
        if error is None:
            return False
        if self._counts is not None:
            return isinstance(error, self._counts)
        status = getattr(getattr(error, "response", None), "status_code", None)
        if isinstance(status, int) and 400 <= status < 500:
            return status in _STATUSES_OF_THE_OTHER_SIDE
        return not isinstance(error, _OF_THE_CALL)

    def _tell(self, state: str) -> None:
        emit(ToolBreakerChanged(tool=self._tool, state=state))
