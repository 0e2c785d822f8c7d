"""Who may be called now."""

from dayshift.worker.webhooks import gates
from dayshift.worker.webhooks.gates import Gates


class Clock:
    now = 1_000.0


def gates_and_clock() -> tuple[Gates, Clock]:
    clock = Clock()
    return Gates(now_mono=lambda: clock.now), clock


def fail(at: Gates, receiver: str = "a") -> None:
    assert at.enter(receiver) is None
    at.leave(receiver, went_well=False, seconds=15)


def test_a_receiver_that_fails_is_left_alone_longer_each_time():
    at, clock = gates_and_clock()
    for _ in range(3):
        fail(at)
    for seconds in (30, 60, 120, 240, 480, 900, 900):
        wait = at.enter("a")
        assert wait is not None
        assert wait.is_broken
        assert seconds <= wait.seconds <= seconds * 1.5
        clock.now += seconds
        fail(at)
    assert at.enter("b") is None, "the others are not concerned"


def test_one_try_finds_out_whether_it_is_back():
    at, clock = gates_and_clock()
    for _ in range(3):
        fail(at)
    clock.now += 30
    assert at.enter("a") is None
    assert at.enter("a") is not None
    assert at.leave("a", went_well=True, seconds=1) is True
    assert at.enter("a") is None
    assert at.leave("a", went_well=True, seconds=1) is False


def test_a_try_that_was_given_up_says_nothing():
    at, clock = gates_and_clock()
    for _ in range(3):
        fail(at)
    clock.now += 30
    assert at.enter("a") is None
    assert at.leave("a", went_well=None, seconds=1) is False
    assert at.enter("a") is None


def test_a_receiver_gets_as_many_at_once_as_it_has_shown_to_take():
    at, _ = gates_and_clock()
    under_way = 0
    for _ in range(20):
        while at.enter("a") is None:
            under_way += 1
        at.leave("a", went_well=True, seconds=0.1)
        under_way -= 1
    assert under_way + 1 == gates.MOST_A_RECEIVER
    at.leave("a", went_well=False, seconds=0.1)
    assert at.enter("a") is not None


def test_who_stands_behind_a_slow_receiver_is_told_a_later_turn_each():
    at, _ = gates_and_clock()
    assert at.enter("a") is None
    at.leave("a", went_well=True, seconds=40)
    for _ in range(3):
        assert at.enter("a") is None
    turned_away = [at.enter("a") for _ in range(200)]
    assert not any(one.is_broken for one in turned_away)
    waits = [one.seconds for one in turned_away]
    assert waits[0] < waits[50] < waits[150]
    assert max(waits) <= gates.LONGEST_OPEN_SECONDS * 1.5


def test_what_is_idle_is_forgotten(monkeypatch):
    monkeypatch.setattr(gates, "MOST_GATES", 10)
    at, _ = gates_and_clock()
    assert at.enter("busy") is None
    for number in range(100):
        fail(at, f"receiver {number}")
    assert len(at._gates) <= 10
    at.leave("busy", went_well=True, seconds=1)
