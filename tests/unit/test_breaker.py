"""A breaker against what its text says, for calls that begin and end in any order."""

from collections.abc import Callable

from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, precondition, rule

from dayshift.domain.breaker import SLICES, Admission, Breaker, BreakerRule, Refusal

RULE = BreakerRule(error_ratio=0.5, window_seconds=60.0, min_calls=4, open_seconds=30.0)


class Watch:
    """A clock that a test turns."""

    def __init__(self) -> None:
        self.mono = 1_000.0

    def __call__(self) -> float:
        return self.mono


def made(watch: Callable[[], float], told: list[str] | None = None) -> Breaker:
    return Breaker(RULE, on_change=None if told is None else told.append, now_mono=watch)


def call(breaker: Breaker, *, failed: bool | None) -> bool:
    """Make a call if it may be made; whether it was."""
    admission = breaker.admit()
    if isinstance(admission, Refusal):
        return False
    breaker.settle(admission, failed=failed)
    return True


def test_it_opens_waits_and_closes_again():
    watch, told = Watch(), list[str]()
    breaker = made(watch, told)
    assert [call(breaker, failed=failed) for failed in (False, False, True, True)] == [True] * 4
    assert breaker.admit() == Refusal(30.0)
    watch.mono += 29
    assert breaker.admit() == Refusal(1.0)
    watch.mono += 1
    assert call(breaker, failed=True)
    assert breaker.admit() == Refusal(30.0)
    watch.mono += 30
    assert call(breaker, failed=False)
    assert [call(breaker, failed=True) for _ in range(3)] == [True] * 3, "the window is empty again"
    assert told == ["open", "half-open", "open", "half-open", "closed"]


def test_few_calls_and_old_errors_open_nothing():
    watch = Watch()
    breaker = made(watch)
    for _ in range(100):
        call(breaker, failed=True)
        watch.mono += RULE.window_seconds / 2
    assert breaker.is_closed


def test_a_probe_that_is_given_up_or_silent_makes_room_for_the_next():
    watch = Watch()
    breaker = made(watch)
    while call(breaker, failed=True):
        """Until it opens."""
    watch.mono += 30
    assert call(breaker, failed=None)
    silent = breaker.admit()
    assert isinstance(silent, Admission)
    assert breaker.admit() == Refusal(30.0)
    watch.mono += 30
    probe = breaker.admit()
    assert isinstance(probe, Admission)
    breaker.settle(silent, failed=False)
    assert not breaker.is_closed, "it is too late for that one's word"
    breaker.settle(probe, failed=False)
    assert breaker.is_closed


@settings(deadline=None)
@given(st.lists(st.tuples(st.floats(0, 40), st.booleans()), max_size=60))
def test_it_opens_exactly_when_the_window_says_so(calls):
    """Up to a slice's width, by which the window may be longer."""
    watch = Watch()
    breaker, seen = made(watch), list[tuple[float, bool]]()
    slice_seconds = RULE.window_seconds / SLICES
    for pause, failed in calls:
        watch.mono += pause
        call(breaker, failed=failed)
        seen.append((watch.mono, failed))
        exact = [bad for at, bad in seen if at > watch.mono - RULE.window_seconds]
        longer = [bad for at, bad in seen if at > watch.mono - RULE.window_seconds - slice_seconds]
        candidates = [longer[first:] for first in range(len(longer) - len(exact) + 1)]
        verdicts = {failed and len(one) >= RULE.min_calls and sum(one) >= 0.5 * len(one) for one in candidates}
        assert (not breaker.is_closed) in verdicts
        if not breaker.is_closed:
            return


class Calls(RuleBasedStateMachine):
    """Calls side by side: never two probes at once, and nothing but a probe once it is open."""

    @initialize()
    def begin(self):
        self.watch = Watch()
        self.breaker = made(self.watch)
        self.under_way: list[Admission] = []
        self.probe: tuple[Admission, float] | None = None  # the one that is waited for, and when it began

    @rule()
    def ask(self):
        was_closed = self.breaker.is_closed
        admission = self.breaker.admit()
        if isinstance(admission, Refusal):
            assert not was_closed
            assert 0 < admission.after_seconds <= RULE.open_seconds + 1e-9  # a difference of two moments
            return
        assert admission.is_probe is not was_closed
        if admission.is_probe:
            assert self.probe is None or self.watch.mono >= self.probe[1] + RULE.open_seconds
            self.probe = admission, self.watch.mono
        self.under_way.append(admission)

    @precondition(lambda self: self.under_way)
    @rule(data=st.data(), failed=st.sampled_from([True, False, None]))
    def end(self, data, failed):
        admission = self.under_way.pop(data.draw(st.integers(0, len(self.under_way) - 1)))
        was_closed = self.breaker.is_closed
        self.breaker.settle(admission, failed=failed)
        is_the_probe = self.probe is not None and self.probe[0] == admission
        if is_the_probe:
            assert self.breaker.is_closed is (failed is False)
            self.probe = None
        elif not was_closed:
            assert not self.breaker.is_closed, "only the probe closes"

    @rule(seconds=st.floats(0.1, 70))
    def wait(self, seconds):
        self.watch.mono += seconds


TestCalls = Calls.TestCase
TestCalls.settings = settings(max_examples=60, stateful_step_count=40, deadline=None)


def test_a_look_changes_nothing_and_says_what_a_call_would_be_told():
    watch = Watch()
    breaker = made(watch)
    assert breaker.look() is None
    for _call in range(4):
        call(breaker, failed=True)
    watch.mono += 10.0
    assert breaker.look() == Refusal(20.0) == breaker.admit()
    watch.mono += 20.0
    assert breaker.look() is None is breaker.look(), "the probe is not taken by a look"
    assert isinstance(breaker.admit(), Admission)
    assert breaker.look() == Refusal(30.0)


def test_it_opens_on_somebody_elses_word_and_old_calls_say_nothing_then():
    watch, told = Watch(), list[str]()
    breaker = made(watch, told)
    old = breaker.admit()
    assert isinstance(old, Admission)
    breaker.open_for(5.0)
    assert breaker.look() == Refusal(5.0)
    breaker.settle(old, failed=False)
    assert not breaker.is_closed
    watch.mono += 5.0
    assert call(breaker, failed=False)
    assert (breaker.is_closed, told) == (True, ["open", "half-open", "closed"])
