import asyncio
from datetime import UTC, datetime

import pytest

from dayshift import Fatal, Retry, agent
from dayshift.agents.declaration import declaration_of
from dayshift.agents.registered import Agent
from dayshift.domain.errors import WrongUse
from dayshift.domain.settings import AgentSettings
from dayshift.domain.task import Started, Timing, Usage
from dayshift.worker.attempt import StopReason
from dayshift.worker.entering import Raised, Returned
from dayshift.worker.judging import MESSAGE_LIMIT, Judge


@agent(max_attempts=3)
async def worked(): ...


def judge(failures=0, **settings):
    declaration = declaration_of(worked)
    moment = datetime(2026, 1, 1, tzinfo=UTC)
    started = Started(
        id="task_1",
        attempt=failures + 1,
        agent="worked",
        queue="default",
        tenant="t",
        user=None,
        conversation=None,
        priority=5,
        seq=1,
        input=b"{}",
        failures=failures,
        losses=0,
        timeout_seconds=None,
        expires_at=None,
        created_at=moment,
        run_at=moment,
        started_at=moment,
        trace_id=None,
        metadata=b"{}",
        timing=Timing(),
        usage=Usage(),
    )
    return Judge(Agent(declaration, worked, is_async=True), AgentSettings(**settings), started)


def test_a_result_succeeds():
    outcome = judge().of_ending(Returned({"a": 1}))
    assert (outcome.kind, outcome.output) == ("succeeded", b'{"a":1}')


def test_a_result_without_json_form_is_final():
    outcome = judge().of_ending(Returned(float("nan")))
    assert (outcome.kind, outcome.error.code, outcome.error.retryable) == ("failed", "invalid_output", False)


def test_any_exception_is_tried_again_with_growing_capped_jitter():
    for failures, most_seconds in [(0, 1), (1, 2), (5, 60), (50, 60)]:
        for _ in range(20):
            outcome = judge(failures, max_attempts=100).of_ending(Raised(ValueError("no")))
            assert outcome.kind == "retry"
            assert 0 <= outcome.retry_delay_seconds <= most_seconds
            assert (outcome.error.code, outcome.error.message) == ("agent_error", "ValueError: no")


def test_the_last_failure_is_a_dead_letter():
    assert judge(1).of_ending(Raised(ValueError())).kind == "retry"
    outcome = judge(2).of_ending(Raised(ValueError()))
    assert (outcome.kind, outcome.error.code, outcome.error.message) == ("failed", "agent_error", "ValueError")


def test_the_setting_wins_over_the_agents_max_attempts():
    assert judge(0, max_attempts=1).of_ending(Raised(ValueError())).kind == "failed"
    assert judge(5, max_attempts=9).of_ending(Raised(ValueError())).kind == "retry"


def test_retry_and_fatal_say_what_they_want():
    assert judge().of_ending(Raised(Retry(after=7.5))).retry_delay_seconds == 7.5
    assert judge(2).of_ending(Raised(Retry(after=7.5, message="later"))).error.message == "later"
    outcome = judge().of_ending(Raised(Fatal("no such order")))
    assert (outcome.kind, outcome.error.code, outcome.error.message) == ("failed", "fatal", "no such order")


def test_a_caught_exception_may_be_the_message():
    assert judge().of_ending(Raised(Fatal(ValueError("no such order")))).error.message == "no such order"
    assert judge().of_ending(Raised(Retry(message=ValueError("later")))).error.message == "later"


def test_verdicts_whose_constructor_was_not_called_still_count():
    class OutOfStock(Fatal):
        def __init__(self, item):
            self.item = item

    class Busy(Retry):
        def __init__(self, detail):
            self.message = detail

    outcome = judge().of_ending(Raised(OutOfStock("tea")))
    assert (outcome.kind, outcome.error.code, outcome.error.message) == ("failed", "fatal", "OutOfStock: tea")
    outcome = judge().of_ending(Raised(Busy({"line": 3})))
    assert (outcome.kind, outcome.error.message) == ("retry", "{'line': 3}")


def test_verdicts_are_found_inside_a_task_group():
    group = BaseExceptionGroup("g", [ValueError(), ExceptionGroup("h", [Retry(after=3), Fatal("stop")])])
    assert judge().of_ending(Raised(group)).error.code == "fatal"
    outcome = judge().of_ending(Raised(ExceptionGroup("g", [ValueError(), Retry(after=3)])))
    assert outcome.retry_delay_seconds == 3


@pytest.mark.parametrize("error", [SystemExit(3), KeyboardInterrupt(), asyncio.CancelledError(), MemoryError()])
def test_whatever_is_raised_is_a_failure(error):
    assert judge().of_ending(Raised(error)).kind == "retry"


def test_a_wrong_use_is_final_as_another_try_is_as_wrong():
    outcome = judge().of_ending(Raised(WrongUse("ctx.sleep(-1): seconds must be a number from 0")))
    assert (outcome.kind, outcome.error.code, outcome.error.retryable) == ("failed", "wrong_use", False)
    assert outcome.error.message == "ctx.sleep(-1): seconds must be a number from 0"


def test_stops():
    assert judge().of_stop(StopReason.CANCELLED, 5).kind == "cancelled"
    assert judge().of_stop(StopReason.DRAINING, 5).kind == "given_back"
    expired = judge().of_stop(StopReason.EXPIRED, 5)
    assert (expired.kind, expired.error.code) == ("failed", "expired")
    timeout = judge().of_stop(StopReason.TIMEOUT, 5)
    assert (timeout.kind, timeout.error.code, timeout.error.retryable) == ("retry", "timeout", True)
    assert judge(2).of_stop(StopReason.TIMEOUT, 5).kind == "failed"


def test_messages_are_bounded_and_clean():
    class Rude(Exception):
        def __str__(self):
            raise ValueError

    outcome = judge().of_ending(Raised(ValueError("\ud800\x00" + "x" * 10_000)))
    assert len(outcome.error.message) == MESSAGE_LIMIT
    assert "\x00" not in outcome.error.message
    outcome.error.message.encode()
    assert "cannot be read" in judge().of_ending(Raised(Rude())).error.message
