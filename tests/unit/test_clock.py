"""A process goes by the ledger's wall clock, once it has heard it."""

from collections.abc import Iterator
from datetime import timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dayshift.domain import clock, ids


@pytest.fixture(autouse=True)
def own_clock() -> Iterator[None]:
    clock.follow(clock.machine_now(), 0.0)
    yield
    clock.follow(clock.machine_now(), 0.0)


def ahead_seconds() -> float:
    return (clock.now() - clock.machine_now()).total_seconds()


def test_a_clock_that_agrees_is_left_alone() -> None:
    clock.follow(clock.machine_now() + timedelta(seconds=0.2), 0.0)
    assert abs(ahead_seconds()) < 0.01


def test_a_difference_that_the_round_trip_explains_changes_nothing() -> None:
    clock.follow(clock.machine_now() - timedelta(seconds=4), 5.0)
    assert abs(ahead_seconds()) < 0.01


@pytest.mark.parametrize("minutes", [-10, 10])
def test_the_ledgers_clock_is_followed_and_left_again(minutes: int) -> None:
    clock.follow(clock.machine_now() + timedelta(minutes=minutes), 0.001)
    assert abs(ahead_seconds() - 60 * minutes) < 0.1
    clock.follow(clock.machine_now() + timedelta(minutes=minutes), 0.001)
    assert abs(ahead_seconds() - 60 * minutes) < 0.1
    clock.follow(clock.machine_now(), 0.001)
    assert abs(ahead_seconds()) < 0.01


@given(st.lists(st.tuples(st.floats(-1000, 1000), st.floats(0, 10)), max_size=20))
def test_what_is_followed_lies_within_what_was_heard_last(heard: list[tuple[float, float]]) -> None:
    for difference_seconds, round_trip_seconds in heard:
        clock.follow(clock.machine_now() + timedelta(seconds=difference_seconds), round_trip_seconds)
        slack_seconds = clock.AGREEING_SECONDS + 0.05
        assert difference_seconds - slack_seconds <= ahead_seconds()
        assert ahead_seconds() <= difference_seconds + round_trip_seconds + slack_seconds


def test_ids_go_on_rising_when_the_clock_is_put_back() -> None:
    clock.follow(clock.machine_now() + timedelta(minutes=10), 0.0)
    ahead = ids.new(ids.TASK)
    clock.follow(clock.machine_now(), 0.0)
    assert ids.new(ids.TASK) > ahead
