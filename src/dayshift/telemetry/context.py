"""The ids that belong to everything that happens below a point of the program: task, attempt, agent, tenant, trace.

They live in one context variable, so they follow `await`, tasks made with `asyncio.create_task` and `asyncio.to_thread`,
and an author's own log lines inside an agent carry them as well.
"""

from contextvars import ContextVar, Token
from types import MappingProxyType, TracebackType
from typing import Any

_NOTHING: dict[str, Any] = {}
_bound: ContextVar[dict[str, Any]] = ContextVar("dayshift_bound_ids", default=_NOTHING)


class bound:  # noqa: N801 - used as a verb: `with bound(task_id=..., attempt=...):`
    """Put these ids on every log line that is written inside the block. Blocks nest; the inner value wins."""

    __slots__ = ("_ids", "_token")

    def __init__(self, **ids: Any) -> None:
        self._ids = ids
        self._token: Token[dict[str, Any]] | None = None

    def __enter__(self) -> None:
        self._token = _bound.set({**_bound.get(), **self._ids})

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        if self._token is not None:
            _bound.reset(self._token)
            self._token = None


def bound_ids() -> MappingProxyType[str, Any]:
    """The ids bound here, read-only."""
    return MappingProxyType(_bound.get())
