"""What an attempt's ending means for its task: the one place that decides between succeeded, retry and failed."""

import asyncio

from dayshift.agents import Agent, Fatal, Retry, Unencodable
from dayshift.agents.errors import text_of
from dayshift.domain.errors import BudgetSpent, Diverged, InvalidInput, WrongUse
from dayshift.domain.jitter import full_jitter
from dayshift.domain.settings import AgentSettings
from dayshift.domain.task import Started, TaskError
from dayshift.tasks.finishing import Outcome
from dayshift.worker.attempt import StopReason
from dayshift.worker.entering import Ending, Raised, Returned

BACKOFF_BASE_SECONDS = 1.0
BACKOFF_CAP_SECONDS = 60.0
MESSAGE_LIMIT = 2_000


class Judge:
    """Knows one agent's rules: how often a failure is tried again, and after how long."""

    def __init__(self, agent: Agent, settings: AgentSettings, started: Started) -> None:
        self._agent = agent
        self._max_attempts = settings.max_attempts or agent.max_attempts
        self._started = started

    def of_stop(self, reason: StopReason, timeout_seconds: float) -> Outcome:
        """The attempt was stopped from outside, and its code ended for that or was fenced off."""
        if reason is StopReason.CANCELLED:
            return Outcome(kind="cancelled")
        if reason is StopReason.EXPIRED:
            return self.final("expired", "the task's expires_at passed while it ran")
        if reason is StopReason.TIMEOUT:
            message = f"the attempt ran longer than its timeout of {timeout_seconds:g} s"
            return self.failure("timeout", message, after_seconds=None)
        return Outcome(kind="given_back")

    def of_ending(self, ending: Ending) -> Outcome:
        """The agent's code ended by itself."""
        if isinstance(ending, Returned):
            return self._of_result(ending)
        return self._of_error(ending)

    def of_bad_input(self, error: InvalidInput) -> Outcome:
        """The input fits the schema but not the hints, or the code has changed since it was accepted."""
        return self.final("invalid_input", error.message)

    def final(self, code: str, message: str) -> Outcome:
        """A failure that is not tried again."""
        return Outcome(kind="failed", error=TaskError(code, _clean(message)))

    def failure(self, code: str, message: str, *, after_seconds: float | None) -> Outcome:
        """A failure that is tried again while attempts are left. Losses and deploys have not counted."""
        failures = self._started.failures + 1
        if failures >= self._max_attempts:
            return Outcome(kind="failed", error=TaskError(code, _clean(message), retryable=True))
        delay = after_seconds
        if delay is None:
            delay = full_jitter(BACKOFF_BASE_SECONDS, BACKOFF_CAP_SECONDS, failures)
        error = TaskError(code, _clean(message), retryable=True)
        return Outcome(kind="retry", error=error, retry_delay_seconds=delay)

    def _of_result(self, ending: Returned) -> Outcome:
        try:
            return Outcome(kind="succeeded", output=self._agent.encode_output(ending.value))
        except Unencodable as error:
            return self.final("invalid_output", f"the result of agent {self._agent.name}: {error}")

    def _of_error(self, ending: Raised) -> Outcome:
        error = _verdict_in(ending.error)
        if isinstance(error, Fatal):
            return self.final(error.code, text_of(error.message) or describe(error))
        if isinstance(error, BudgetSpent | Diverged | WrongUse):
            return self.final(error.code, error.message)
        if isinstance(error, Retry):
            message = text_of(error.message) or "the agent asked to be tried again"
            return self.failure("agent_error", message, after_seconds=error.after)
        if isinstance(error, asyncio.CancelledError):
            return self.failure("agent_error", "CancelledError: the agent's code cancelled itself", after_seconds=None)
        return self.failure("agent_error", describe(error), after_seconds=None)


def _verdict_in(error: BaseException) -> BaseException:
    """What a task group wrapped: a Fatal in it stands for the whole, then a Retry."""
    if isinstance(error, BaseExceptionGroup):
        for verdict in (Fatal, Retry):
            group = error.subgroup(verdict)
            if group is not None:
                return _verdict_in(group.exceptions[0])
    return error


def describe(error: BaseException) -> str:
    """An exception as one text: its class and what it says, even when saying it fails."""
    text = text_of(error)
    return f"{type(error).__name__}: {text}" if text else type(error).__name__


def _clean(message: str) -> str:
    """Text that every store and every JSON takes: no NUL, no lone surrogate, bounded."""
    text = message.replace("\x00", "\ufffd").encode("utf-8", "replace").decode("utf-8")
    return text if len(text) <= MESSAGE_LIMIT else text[: MESSAGE_LIMIT - 1] + "…"
