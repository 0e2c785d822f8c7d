"""The promises of the shared limits, through whatever hypothesis thinks of: deaths, frozen workers, lost replies, repeats."""

import asyncio
import itertools

import msgspec
import pytest
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, precondition, rule, run_state_machine_as_test

from dayshift.domain.provider_settings import ProviderLimits
from dayshift.hotplane import Plane, keys
from dayshift.hotplane.limits import LimitCall, LimitPlace, LimitTelling

WORKERS = ("u", "v", "w", "x")
FEW_REQUESTS, MANY_REQUESTS, TOKENS_A_MINUTE, CONCURRENT = 120, 6_000, 60_000, 6
WINDOW_SECONDS = 10
BURST = 0.015 * TOKENS_A_MINUTE * WINDOW_SECONDS / 60
LARGEST = 2_000
HELD_MS, UNCONFIRMED_MS, SILENT_MS = 15_000, 1_000, 1_000
SLACK_MS = 25.0

_lines = itertools.count()


class Held(msgspec.Struct):
    """A reservation as its worker knows it."""

    worker: str
    tokens: int
    start_ms: float
    deadline_ms: float
    confirmed: bool = False


class Promise(RuleBasedStateMachine):
    """Workers that ask, use, tell twice, freeze and die."""

    url = ""
    settles_as_reserved = False
    requests_a_minute = FEW_REQUESTS

    def __init__(self):
        super().__init__()
        self.runner = asyncio.Runner()
        self.plane = Plane(self.url)
        self.line = f"p{next(_lines)}"
        self.now_ms = 1e12
        self.names = itertools.count()
        self.waiting: dict[str, list[tuple[LimitCall, float]]] = {worker: [] for worker in WORKERS}
        self.registered: dict[str, tuple[LimitCall, float]] = {}
        self.dead: set[str] = set()
        self.limits = ProviderLimits(
            requests_per_minute=self.requests_a_minute,
            tokens_per_minute=TOKENS_A_MINUTE,
            concurrent=CONCURRENT,
            window=WINDOW_SECONDS,
        )
        self.in_hand: dict[str, Held] = {}
        self.held: dict[str, Held] = {}
        self.told: list[list[LimitTelling]] = []
        self.starts: list[tuple[float, int]] = []
        self.overused = self.taken_again = 0

    @initialize()
    def begin(self):
        self.run(self.plane.open())

    def teardown(self):
        try:
            if self.starts:
                self.check_windows()
                self.check_nothing_is_left()
        finally:
            self.run(self.plane.close())
            self.runner.close()

    def run(self, coroutine):
        self.plane.limit_clock_ms = self.now_ms
        return self.runner.run(coroutine)

    def living(self):
        return [worker for worker in WORKERS if worker not in self.dead]

    @rule(worker=st.sampled_from(WORKERS), priority=st.sampled_from([0, 5, 9]), tokens=st.integers(1, LARGEST))
    def arrive(self, worker, priority, tokens):
        if worker not in self.dead:
            call = LimitCall(f"r{next(self.names)}", worker, 1.0, priority, 0.0, None, tokens, 0)
            self.waiting[worker].append((call, self.now_ms))
            self.waiting[worker].sort(key=lambda entry: (-entry[0].priority, entry[1]))

    @rule(worker=st.sampled_from(WORKERS), reply_is_lost=st.sampled_from([False, False, False, True]))
    def ask(self, worker, reply_is_lost):
        if worker in self.dead or not self.waiting[worker]:
            return
        front = self.waiting[worker][:3]
        others = self.heads_of_others(worker)
        answers = self.run(
            self.plane.limit_reserve(
                LimitPlace(self.line, f"{worker}/0", worker, ("c",), self.limits),
                [msgspec.structs.replace(call, waited_ms=self.now_ms - since) for call, since in front],
            )
        )
        self.registered.pop(worker, None)
        for (call, since), answer in zip(front, answers, strict=False):
            if answer.kind.startswith("waits"):
                self.registered[worker] = (call, since)
                break
            for priority, arrival in others:
                assert not (priority > call.priority and arrival < since), "passed by a lower one that came later"
            start_ms = self.now_ms + answer.wait_ms
            self.starts.append((start_ms, call.input_tokens))
            self.waiting[worker].remove((call, since))
            if self.settles_as_reserved:
                self.held[call.id] = Held(worker, call.input_tokens, start_ms, self.now_ms + HELD_MS, confirmed=True)
                self.tell([LimitTelling("c", call.id, HELD_MS)], twice=False)
            elif not reply_is_lost:
                self.held[call.id] = Held(worker, call.input_tokens, start_ms, start_ms + UNCONFIRMED_MS)
        self.check_balance()

    @rule(worker=st.sampled_from(WORKERS), number=st.integers(1, 4), tokens=st.integers(1, int(BURST)))
    def take_in_hand(self, worker, number, tokens):
        if worker in self.dead or worker in self.registered:
            return
        others = self.heads_of_others("nobody")
        calls = [
            LimitCall(f"h{next(self.names)}", "", 1.0, 0, 0.0, 0.0, tokens, 0, is_in_hand=True) for _ in range(number)
        ]
        answers = self.run(
            self.plane.limit_reserve(LimitPlace(self.line, f"{worker}/0", worker, ("c",), self.limits), calls)
        )
        for call, answer in zip(calls, answers, strict=True):
            assert answer.kind in ("granted", "busy")
            if answer.kind == "granted":
                assert not others, "nothing is taken in hand while somebody waits"
                self.in_hand[call.id] = Held(worker, tokens, self.now_ms, self.now_ms + UNCONFIRMED_MS)
        self.check_balance()

    @precondition(lambda self: self.in_hand)
    @rule(data=st.data())
    def a_call_for_one_in_hand_comes(self, data):
        name = data.draw(st.sampled_from(sorted(self.in_hand)))
        held = self.in_hand.pop(name)
        if self.settles_as_reserved and self.now_ms > held.deadline_ms:
            return
        self.note_late(held)
        self.starts.append((self.now_ms, held.tokens))
        held.confirmed, held.deadline_ms = True, self.now_ms + HELD_MS
        self.held[name] = held
        self.tell([LimitTelling("c", name, HELD_MS)], twice=False)

    @precondition(lambda self: self.in_hand)
    @rule(data=st.data(), twice=st.booleans())
    def no_call_for_one_in_hand_comes(self, data, twice):
        name = data.draw(st.sampled_from(sorted(self.in_hand)))
        del self.in_hand[name]
        self.tell([LimitTelling("b", name)], twice=twice)

    @rule(ms=st.sampled_from([1, 20, 100, 500, 1_500, 6_000]))
    def time_passes(self, ms):
        self.now_ms += ms

    @precondition(lambda self: self.held)
    @rule(data=st.data(), twice=st.booleans())
    def confirm(self, data, twice):
        name = data.draw(st.sampled_from(sorted(self.held)))
        held = self.held[name]
        self.note_late(held)
        held.confirmed, held.deadline_ms = True, self.now_ms + HELD_MS
        self.tell([LimitTelling("c", name, HELD_MS)], twice=twice)

    @precondition(lambda self: self.held)
    @rule(data=st.data(), used=st.integers(0, 2 * LARGEST), how=st.sampled_from("ssbf"), twice=st.booleans())
    def finish(self, data, used, how, twice):
        name = data.draw(st.sampled_from(sorted(self.held)))
        held = self.held.pop(name)
        if self.settles_as_reserved:
            how, used = "s", held.tokens
            if self.now_ms > held.deadline_ms:
                return
        if how == "s":
            self.overused += max(0, used - held.tokens)
        self.note_late(held)
        telling = {"s": (used, 0), "b": ("", ""), "f": (300, "")}[how]
        self.tell([LimitTelling(how, name, *telling)], twice=twice)

    def note_late(self, held):
        """What was taken back unconfirmed is taken again, into debt."""
        if self.now_ms > held.deadline_ms and not held.confirmed:
            self.overused += held.tokens
            self.taken_again += 1

    @precondition(lambda self: self.held)
    @rule(data=st.data(), requests=st.integers(-1, 100), tokens=st.integers(-1, 20_000), known=st.booleans())
    def hear(self, data, requests, tokens, known):
        """The headers of an answer, true or not: they may slow the fleet down, and lose or make nothing."""
        name = data.draw(st.sampled_from(sorted(self.held)))
        limits = f"{self.requests_a_minute} {TOKENS_A_MINUTE} -1 -1" if known else "-1 -1 -1 -1"
        self.tell([LimitTelling("h", name, f"{requests} {tokens} -1 -1", limits)], twice=False)

    @precondition(lambda self: self.told)
    @rule(data=st.data())
    def an_old_telling_comes_again(self, data):
        if not self.settles_as_reserved:
            again = [entry for entry in data.draw(st.sampled_from(self.told)) if entry.op != "c"]
            self.tell(again, twice=False)

    @rule(worker=st.sampled_from(WORKERS))
    def dies(self, worker):
        if len(self.dead) < 2 and worker not in self.dead:
            self.dead.add(worker)
            self.waiting[worker].clear()
            self.held = {name: held for name, held in self.held.items() if held.worker != worker}
            self.in_hand = {name: held for name, held in self.in_hand.items() if held.worker != worker}

    @rule(worker=st.sampled_from(WORKERS))
    def leaves(self, worker):
        if worker not in self.dead:
            self.waiting[worker].clear()
            self.registered.pop(worker, None)
            self.run(self.plane.limit_leave(self.line, f"{worker}/0"))

    def tell(self, tellings, *, twice):
        self.told.append(tellings)
        for _ in range(2 if twice else 1):
            self.run(self.plane.limit_tell(self.line, tellings))
        self.check_balance()

    def heads_of_others(self, worker):
        """Of those in the plane that are not silent: priority and arrival."""
        heads = self.read(b"HGETALL", "LIMIT_HEADS")
        decoded = [msgspec.msgpack.decode(packed) for packed in heads[1::2]]
        return [
            (head["priority"], head["arrival"])
            for head in decoded
            if head["worker"] != worker and head["told"] + SILENT_MS >= self.now_ms
        ]

    def read(self, command, name, suffix=""):
        return self.run(self.plane._state.wire.ask(command, keys.LIMIT_KEYS[name] + self.line + suffix))

    def account(self):
        packed = self.read(b"GET", "LIMIT_ACCOUNT", ":c")
        return msgspec.msgpack.decode(packed, strict=False) if packed else None

    def check_balance(self):
        account = self.account()
        if account is not None:
            assert account[1][0] >= -self.taken_again - 1e-6
            assert account[2][0] >= -(LARGEST - BURST) - self.overused - 1e-6
            assert account["open"] >= 0
            assert all(amount >= 0 for amount in account.get("in_hand", []))
            if "in_hand" in account and not self.read(b"HLEN", "LIMIT_HEADS"):
                assert account[2][0] + account["in_hand"][1] <= BURST + 1e-6

    def check_windows(self):
        if not self.settles_as_reserved:
            return
        self.starts.sort()
        most_requests = self.requests_a_minute * WINDOW_SECONDS / 60
        most_tokens = TOKENS_A_MINUTE * WINDOW_SECONDS / 60 + LARGEST - BURST
        for number, (begin_ms, _) in enumerate(self.starts):
            inside = [tokens for at, tokens in self.starts[number:] if at < begin_ms + 1000 * WINDOW_SECONDS]
            assert len(inside) <= most_requests + 1e-6
            assert sum(inside) <= most_tokens + 1e-6

    def check_nothing_is_left(self):
        """All end, and time passes: then the bucket is full, no place is taken, and nobody waits but those who live."""
        for name in list(self.held):
            held = self.held.pop(name)
            self.note_late(held)
            self.tell([LimitTelling("s", name, held.tokens, 0)], twice=False)
        for _ in range(60):
            self.now_ms += HELD_MS / 10
            self.run(self.plane.limit_leave(self.line, "nobody/0"))
        self.dead.update(WORKERS)
        (answer,) = self.run(
            self.plane.limit_reserve(
                LimitPlace(self.line, "last/0", "last", ("c",), self.limits),
                [LimitCall("last", "t", 1.0, 0, 0.0, None, int(BURST), 0)],
            )
        )
        assert (answer.kind, answer.wait_ms) == ("granted", 0)
        account = self.account()
        assert account["open"] == 1
        assert not any(account.get("in_hand", []))
        assert self.read(b"HLEN", "LIMIT_HEADS") == 0


class Punctual(Promise):
    """The same when every answer arrives and every call uses what it reserved: then windows can be added up."""

    settles_as_reserved = True


class Roomy(Punctual):
    """The same where there is so much room that grants are taken in hand."""

    requests_a_minute = MANY_REQUESTS


@pytest.mark.parametrize("machine", [Promise, Punctual, Roomy])
def test_the_promises_hold(valkey_url, machine):
    run_state_machine_as_test(
        type("Run", (machine,), {"url": valkey_url}),
        settings=settings(
            max_examples=60, stateful_step_count=40, deadline=None, suppress_health_check=list(HealthCheck)
        ),
    )
