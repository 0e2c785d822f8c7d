"""Which wait a signal answers, over any order of signals, waits and ends."""

import pytest
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule

from dayshift.domain.errors import Conflict, NotFound
from dayshift.domain.signal import Wait
from dayshift.domain.signal import rule as rule_on


class Signals(RuleBasedStateMachine):
    """A task that waits for one name again and again, and people who send it signals, with the wait's id and without."""

    def __init__(self) -> None:
        super().__init__()
        self.waits: list[str] = []
        self.open: set[str] = set()
        self.bound: dict[
            str | None, bool
        ] = {}  # as the ledger keeps them: the wait that is answered, and whether it is unread
        self.answers: dict[str, int] = {}
        self.taken = 0

    def bind(self) -> None:
        """What came before its wait goes to the first that is open."""
        for wait in self.waits:
            if None in self.bound and wait in self.open and wait not in self.bound:
                del self.bound[None]
                self.bound[wait] = True
                self.answers[wait] = self.answers.get(wait, 0) + 1

    def said(self) -> dict[str | None, bool]:
        return {wait: wait is None or wait in self.open for wait in self.bound}

    def send(self, wait_id: str | None) -> None:
        self.bind()
        waits = [Wait(wait, wait in self.open) for wait in self.waits]
        ruling = rule_on("approval", waits, self.said(), wait_id)
        if not ruling.is_repeat:
            assert ruling.wait_id not in self.bound
            self.taken += 1
            self.bound[ruling.wait_id] = True
            if ruling.wait_id is not None:
                self.answers[ruling.wait_id] = self.answers.get(ruling.wait_id, 0) + 1

    @rule()
    def wait(self) -> None:
        self.waits.append(f"w{len(self.waits)}")
        self.open.add(self.waits[-1])
        self.bind()

    @rule(data=st.data())
    def read_or_time_out(self, data) -> None:
        if self.open:
            self.open.discard(data.draw(st.sampled_from(sorted(self.open))))

    @rule()
    def click_without_a_name(self) -> None:
        unread = any(self.said().values())
        unanswered = [wait for wait in self.waits if wait in self.open and wait not in self.bound]
        before = self.taken
        if not unread and not unanswered and self.bound:
            with pytest.raises(Conflict):
                self.send(None)
        else:
            self.send(None)
            assert self.taken == before + (not unread)

    @rule(data=st.data())
    def click_twice(self, data) -> None:
        if not self.waits:
            with pytest.raises(NotFound):
                self.send("w0")
            return
        wait = data.draw(st.sampled_from(self.waits))
        if wait not in self.bound and wait not in self.open:
            with pytest.raises(Conflict):
                self.send(wait)
            return
        self.send(wait)
        before = self.taken
        self.send(wait)
        assert self.taken == before, "a double click was taken for two"

    @invariant()
    def every_wait_has_one_answer_at_most(self) -> None:
        assert all(count == 1 for count in self.answers.values())

    @invariant()
    def one_signal_at_most_is_kept_for_later(self) -> None:
        assert len(self.answers) + (None in self.bound) == self.taken


TestSignals = Signals.TestCase
