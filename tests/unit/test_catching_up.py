"""What becomes of due times that were missed."""

from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dayshift.domain.schedules import Times
from dayshift.tasks.schedules.catching_up import IN_TIME_SECONDS, MOST_CAUGHT_UP, decide
from dayshift.tasks.schedules.due_times import due_after, latest_due

START = datetime(2026, 10, 24, 22, tzinfo=UTC)
HOURLY = Times(cron="0 * * * *", time_zone="Europe/Berlin")

some_times = st.one_of(
    st.integers(1, 4_000).map(lambda every: Times(every=every, start_at=START)),
    st.sampled_from(["* * * * *", "*/20 * * * *", "30 2 * * *", "0 1-4 * * *"]).map(
        lambda cron: Times(cron=cron, time_zone="Europe/Berlin")
    ),
    st.just(Times(at=START + timedelta(hours=2))),
)


def hours(*numbers: int) -> list[datetime]:
    return [START + timedelta(hours=number) for number in numbers]


@pytest.mark.parametrize(
    ("catch_up", "minutes", "due", "skipped"),
    [
        # Somebody looks a few seconds after two o'clock, and again three hours later.
        ("skip", 60.1, hours(1), None),
        ("one", 60.1, hours(1), None),
        ("all", 60.1, hours(1), None),
        ("skip", 250, [], hours(1, 4)),
        ("one", 250, hours(4), hours(1, 3)),
        ("all", 250, hours(1, 2, 3, 4), None),
        # Somebody looks just after the third was due: that one is in time.
        ("skip", 240.5, hours(4), hours(1, 3)),
        ("one", 240.5, hours(4), hours(1, 3)),
        ("all", 240.5, hours(1, 2, 3, 4), None),
        ("skip", 59, [], None),
    ],
)
def test_each_policy(catch_up, minutes, due, skipped):
    decision = decide(HOURLY, catch_up, START + timedelta(hours=1), START + timedelta(minutes=minutes))
    assert decision.due == due
    assert decision.skipped == (None if skipped is None else tuple(skipped))


def test_all_has_an_end():
    times = Times(every=10, start_at=START)
    moment = START + timedelta(days=30)
    decision = decide(times, "all", START, moment)
    in_time = IN_TIME_SECONDS // 10 + 1
    assert len(decision.due) == MOST_CAUGHT_UP + in_time
    assert decision.due[-1] == moment
    assert decision.skipped == (START, decision.due[0] - timedelta(seconds=10))


@given(some_times, st.sampled_from(["skip", "one", "all"]), st.lists(st.integers(0, 9_000), min_size=1, max_size=8))
def test_each_due_time_becomes_one_task_or_is_skipped(times, catch_up, looks):
    """However often somebody looks: none twice, none forgotten, and none skipped that somebody came to in time."""
    next_at, moment, made, skipped = due_after(times, START), START, [], []
    all_of_them = latest_due(times, 10**6, START + timedelta(microseconds=1), START + timedelta(seconds=sum(looks)))
    for seconds in looks:
        moment += timedelta(seconds=seconds)
        if next_at is None or next_at > moment:
            continue
        decision = decide(times, catch_up, next_at, moment)
        made += decision.due
        if decision.skipped is not None:
            skipped += [one for one in all_of_them if decision.skipped[0] <= one <= decision.skipped[1]]
            assert decision.skipped[1] < moment - timedelta(seconds=IN_TIME_SECONDS)
        next_at = due_after(times, moment)
    assert made == sorted(set(made))
    assert sorted(made + skipped) == all_of_them
    if catch_up == "all" and len(all_of_them) < MOST_CAUGHT_UP:
        assert not skipped
