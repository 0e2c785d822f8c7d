"""How a step or a tool is tried: how long one try may take, and how often it is tried again within the attempt.

All tries are one effect: the journal knows of the last one's outcome only, and a tool's idempotency key is the same in all.
Between two tries lies a random wait, doubled each time, or what a `Retry(after=...)` asks for. A wait above a minute is not
spent here, where it would hold a slot: the error goes to the agent, and with it the attempt may end and come again.
"""

import asyncio
import inspect
import time
from collections.abc import Awaitable, Callable
from itertools import count

from msgspec import Struct

from dayshift.agents.breaking import ToolBreaker
from dayshift.agents.errors import Fatal, Retry
from dayshift.domain.breaker import Admission
from dayshift.domain.errors import DayshiftError, WrongUse
from dayshift.domain.jitter import full_jitter

PAUSE_BASE_SECONDS = 0.5
PAUSE_CAP_SECONDS = 30.0
LONGEST_PAUSE_SECONDS = 60.0
MOST_RETRIES = 100


class Tries(Struct, frozen=True):
    """`where` is how errors name what is tried."""

    where: str
    retries: int = 0
    timeout_seconds: float | None = None
    breaker: ToolBreaker | None = None

    def admit(self) -> Admission | None:
        """Ask before the first try, while nothing has begun. Raises ToolUnavailable."""
        return None if self.breaker is None else self.breaker.admit()

    async def make(
        self, once: Callable[[], Awaitable[bytes]], may_act: Callable[[], None], admission: Admission | None = None
    ) -> bytes:
        """Try until it goes well or must not be tried again; raises what the last try raised."""
        for tries in count(1):
            try:
                return await self._once(once, admission)
            except Exception as error:
                pause = self._pause_seconds(error, tries)
                if pause is None:
                    raise
            await asyncio.sleep(pause)
            may_act()
            admission = self.admit()
        raise AssertionError("it is tried for ever or ends above")

    def make_here(
        self, once: Callable[[], bytes], may_act: Callable[[], None], admission: Admission | None = None
    ) -> bytes:
        """The same in a plain function's thread, where no try can be cut short."""
        for tries in count(1):
            try:
                return self._once_here(once, admission)
            except Exception as error:
                pause = self._pause_seconds(error, tries)
                if pause is None:
                    raise
            time.sleep(pause)
            may_act()
            admission = self.admit()
        raise AssertionError("it is tried for ever or ends above")

    async def _once(self, once: Callable[[], Awaitable[bytes]], admission: Admission | None) -> bytes:
        try:
            result = await self._in_time(once)
        except BaseException as error:
            self._settle(admission, error)
            raise
        self._settle(admission, None)
        return result

    def _once_here(self, once: Callable[[], bytes], admission: Admission | None) -> bytes:
        try:
            result = once()
        except BaseException as error:
            self._settle(admission, error)
            raise
        self._settle(admission, None)
        return result

    async def _in_time(self, once: Callable[[], Awaitable[bytes]]) -> bytes:
        if self.timeout_seconds is None:
            return await once()
        limit = asyncio.timeout(self.timeout_seconds)
        try:
            async with limit:
                return await once()
        except TimeoutError:
            if not limit.expired():
                raise
            raise TimeoutError(f"{self.where} took longer than {self.timeout_seconds:g} s") from None

    def _settle(self, admission: Admission | None, error: BaseException | None) -> None:
        if self.breaker is not None and admission is not None:
            self.breaker.settle(admission, error)

    def _pause_seconds(self, error: Exception, tries: int) -> float | None:
        """How long to wait before it is tried again; None: it is not."""
        if tries > self.retries or isinstance(error, Fatal | DayshiftError):
            return None
        if isinstance(error, Retry) and error.after is not None:
            return error.after if error.after <= LONGEST_PAUSE_SECONDS else None
        return full_jitter(PAUSE_BASE_SECONDS, PAUSE_CAP_SECONDS, tries)


def check_options(where: str, function: Callable[..., object], retries: int, timeout: float | None) -> None:
    """Raise WrongUse for options that cannot be kept."""
    if isinstance(retries, bool) or not isinstance(retries, int) or not 0 <= retries <= MOST_RETRIES:
        raise WrongUse(f"{where}: retries={retries!r} must be a whole number from 0 to {MOST_RETRIES}")
    if timeout is None:
        return
    if isinstance(timeout, bool) or not isinstance(timeout, int | float) or not timeout > 0:
        raise WrongUse(f"{where}: timeout={timeout!r} must be seconds above 0")
    if not is_async(function):
        raise WrongUse(
            f"{where}: timeout={timeout:g} cannot be kept for a plain function, as nothing can stop a thread: make it "
            "`async def`, or give the timeout to the client that it uses"
        )


def is_async(function: Callable[..., object]) -> bool:
    """Whether calling it gives something to await, which can be cut short."""
    return inspect.iscoroutinefunction(function) or inspect.iscoroutinefunction(type(function).__call__)
