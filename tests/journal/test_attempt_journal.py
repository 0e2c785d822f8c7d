"""What an attempt's journal answers and records, whatever comes in between.

The property: a program of calls, some side by side, is begun again and again, each time cut off somewhere, until it comes to
its end. Then every call whose answer was recorded was made once, and each caller was given the recorded answer.
"""

import asyncio
from collections import Counter

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from dayshift.domain.effect import Difference, EffectKind, EffectStatus
from dayshift.domain.errors import Superseded
from dayshift.domain.task import Usage
from dayshift.journal import AttemptJournal, call_of, unpack
from dayshift.journal.results import WORTH_COMPRESSING_BYTES, pack
from tests.journal.store import Store


def call(name: str, scope: str = "", **parts: str):
    content = msgspec.json.encode(parts)
    digested = {part: value.encode() for part, value in parts.items()}
    return call_of(EffectKind.STEP, name, content, scope=scope, parts=digested)


async def do(journal: AttemptJournal, name: str, made: list[str], **parts: str) -> str:
    """What `ctx.step` does, with the answer saying which making of it this was."""
    one = call(name, **parts)
    found = journal.take(one)
    if found is None:
        draft = journal.begin(one)
        made.append(name)
        found = await journal.record(draft, f"{name} {len(made)}".encode())
    assert found.result is not None
    return unpack(found.result).decode()


names = st.sampled_from("abc")
programs = st.recursive(
    names, lambda inner: st.lists(inner, max_size=4) | st.lists(inner, max_size=3).map(tuple), max_leaves=14
)
"""A name is a call, a list goes one by one, a tuple side by side."""


async def run(program, journal: AttemptJournal, made: list[str], given_answers: list[str]) -> None:
    if isinstance(program, str):
        given_answers.append(await do(journal, program, made))
    elif isinstance(program, list):
        for part in program:
            await run(part, journal, made, given_answers)
    else:
        await asyncio.gather(*(run(part, journal, made, given_answers) for part in program))


@settings(max_examples=300, deadline=None)
@given(programs, st.lists(st.integers(0, 6), max_size=5))
def test_what_was_recorded_is_never_made_again(program, cuts):
    async def scenario() -> None:
        store, made = Store(), list[str]()
        for attempt, writes in enumerate([*cuts, 10_000], start=1):
            store.writes_left = writes
            before = dict(store.effects)
            made_before, answers = len(made), list[str]()
            journal = store.open(attempt)
            try:
                await run(program, journal, made, answers)
            except Superseded:
                await asyncio.sleep(0.001)  # the branches that are still under way come to their end
                continue
            finally:
                assert all(store.effects[place] == effect for place, effect in before.items())
            assert len(made) - made_before == len(store.effects) - len(before)
            recorded = Counter(unpack(effect.result).decode() for effect in store.effects.values())
            assert Counter(answers) == recorded
            assert journal.left() == []
            assert journal.divergences() == []

    asyncio.run(scenario())


async def test_equal_calls_are_numbered_as_they_are_recorded_and_replayed_from_the_lowest():
    store, made = Store(), list[str]()
    journal = store.open(1)
    assert [await do(journal, "a", made) for _ in range(3)] == ["a 1", "a 2", "a 3"]
    journal = store.open(2)
    assert [await do(journal, "a", made) for _ in range(4)] == ["a 1", "a 2", "a 3", "a 4"]
    assert sorted(occurrence for _, occurrence in store.effects) == [0, 1, 2, 3]


async def test_what_differs_is_done_and_named():
    store, made = Store(), list[str]()
    journal = store.open(1)
    await do(journal, "ask", made, model="m", at="noon")
    await do(journal, "tell", made, text="x")
    journal = store.open(2)
    assert await do(journal, "ask", made, model="m", at="one") == "ask 3"
    [(missed, divergence)] = journal.divergences()
    assert (missed.name, divergence.effect.name, divergence.part) == ("ask", "ask", "at")
    assert await do(journal, "tell", made, text="x") == "tell 2"


async def test_what_differs_is_kept_with_what_was_done_instead():
    store, made = Store(), list[str]()
    journal = store.open(1)
    await do(journal, "ask", made, at="noon")
    await do(journal, "ask", made, at="noon", more="x")
    before = {unpack(effect.result): effect for effect in store.effects.values()}
    journal = store.open(2)
    await do(journal, "ask", made, at="one", more="x")  # more like the second, though the first is unused as well
    await do(journal, "ask", made, at="two")
    await do(journal, "ask", made, at="three")  # more than was ever recorded: it is new, and differs from nothing
    after = {unpack(effect.result): effect.differs for effect in store.effects.values()}
    assert after[b"ask 3"] == Difference(before[b"ask 2"].id, "at")
    assert after[b"ask 4"] == Difference(before[b"ask 1"].id, "at")
    assert after[b"ask 5"] is None
    assert len(journal.divergences()) == 2
    journal = store.open(3)
    for at, more in (("one", {"more": "x"}), ("two", {}), ("three", {}), ("four", {})):
        await do(journal, "ask", made, at=at, **more)
    assert journal.divergences() == [], "what the second attempt did instead is not missed by the third"
    assert len(made) == 6


async def test_a_call_in_another_branch_differs_in_its_place():
    store, made = Store(), list[str]()
    await do(store.open(1), "ask", made, scope="/branch 0", at="noon")
    journal = store.open(2)
    await do(journal, "ask", made, scope="/branch 1", at="noon")
    [(missed, divergence)] = journal.divergences()
    assert divergence.part == "place"
    assert "in another step or branch" in divergence.message(missed)


async def test_a_call_that_an_sdk_tries_again_is_missed_once():
    store, made = Store(), list[str]()
    await do(store.open(1), "ask", made, at="noon")
    journal, one = store.open(2), call("ask", at="one")
    for _ in range(3):
        assert journal.take(one) is None
        journal.failed(journal.begin(one), RuntimeError("busy"), b"busy")
        journal.retract(one)
    assert await do(journal, "ask", made, at="one") == "ask 2"
    assert len(journal.divergences()) == 1
    assert [effect.differs is None for effect in store.effects.values()] == [True, False]


async def test_a_branch_that_is_ahead_is_no_divergence_once_the_other_has_come():
    store, made = Store(), list[str]()
    journal = store.open(1)
    await do(journal, "ask", made, branch="one")
    journal = store.open(2)
    await do(journal, "ask", made, branch="two")  # the other branch, which comes first this time
    assert len(journal.divergences()) == 1
    await do(journal, "ask", made, branch="one")
    assert journal.divergences() == []


async def test_a_failure_that_the_agent_survived_is_part_of_what_happened():
    store = Store()
    journal = store.open(1)
    error = ValueError("no such order")
    journal.failed(journal.begin(call("load")), error, b"no such order")
    assert store.effects == {}
    await do(journal, "go on", [])
    assert [effect.status for effect in store.effects.values()] == [EffectStatus.FAILED, EffectStatus.DONE]
    found = store.open(2).take(call("load"))
    assert found is not None
    assert (found.status, unpack(found.result)) == (EffectStatus.FAILED, b"no such order")


def raised_from(cause: BaseException, kind: str) -> BaseException:
    try:
        try:
            raise cause
        except ValueError:
            if kind == "amid":
                raise KeyError("another") from None if kind == "nothing" else cause
            raise RuntimeError("wrapped") from cause
    except Exception as error:  # noqa: BLE001 - it is what the test is about
        return error


@pytest.mark.parametrize("wrap", ["itself", "from", "amid", "group", "response"])
async def test_the_failure_that_ended_the_attempt_is_not_recorded(wrap):
    store = Store()
    journal = store.open(1)
    error = ValueError("the provider is away")
    journal.failed(journal.begin(call("early")), ValueError("another"), b"")
    if wrap == "response":
        response, ended_by = object(), RuntimeError("503")
        ended_by.response = response  # type: ignore[attr-defined]
        journal.failed(journal.begin(call("load")), response, b"")
    else:
        journal.failed(journal.begin(call("load")), error, b"")
        ended_by = {
            "itself": lambda: error,
            "from": lambda: raised_from(error, "from"),
            "amid": lambda: raised_from(error, "amid"),
            "group": lambda: ExceptionGroup("two", [OSError(), error]),
        }[wrap]()
    await journal.settle(ended_by)
    assert [effect.name for effect in store.effects.values()] == ["early"]


async def test_what_has_begun_in_the_journal_keeps_its_place():
    store = Store()
    journal = store.open(1)
    draft = journal.begin(call("pay"))
    begun = await journal.begun(draft)
    other = await journal.record(journal.begin(call("pay")), b"2")
    done = await journal.record(draft, b"1")
    assert (begun.status, begun.occurrence, done.occurrence, other.occurrence) == (EffectStatus.STARTED, 0, 0, 1)
    assert begun.id == done.id


async def test_nothing_begins_once_the_attempt_must_not_act():
    def refuse() -> None:
        raise Superseded("the lease is lost")

    journal = AttemptJournal(Store(), task_id="task_1", attempt=1, effects=[], may_act=refuse)
    with pytest.raises(Superseded):
        journal.begin(call("load"))


@pytest.mark.parametrize("result", [b"", b"x", b"x" * WORTH_COMPRESSING_BYTES * 4, bytes(range(256)) * 2])
def test_results_come_out_as_they_went_in(result):
    assert unpack(pack(result)) == result
    assert len(pack(result)) <= len(result) + 1


def test_a_result_of_a_later_release_is_named():
    with pytest.raises(ValueError, match="upgrade the workers"):
        unpack(b"\x07rest")


@pytest.mark.parametrize("goes_on", [True, False])
@pytest.mark.parametrize("ended_by", [None, ValueError("amid the stream")])
async def test_a_part_of_an_answer_is_recorded_once_something_is_made_of_it(goes_on, ended_by):
    """Whoever leaves a stream because it fails, must find it whole in the next attempt."""
    store = Store()
    journal = store.open(1)
    journal.left_off(journal.begin(call("ask")), b"half", Usage(llm_calls=1))
    if goes_on:
        await do(journal, "act", [])
    await journal.settle(ended_by)
    kept = store.open(2).take(call("ask"))
    assert (kept is not None) == (goes_on or ended_by is None)
    if kept is not None:
        assert (unpack(kept.result), journal.usage.llm_calls) == (b"half", 1)


class Slow(Store):
    """Its writes come to their end when they may."""

    def __init__(self) -> None:
        super().__init__()
        self.may_write = asyncio.Event()

    async def write(self, effect, *, handed_on=False, wait_seconds=None):
        await self.may_write.wait()
        return await super().write(effect, handed_on=handed_on, wait_seconds=wait_seconds)


async def test_an_answer_that_was_paid_for_is_recorded_though_its_agent_was_cancelled_meanwhile():
    store = Slow()
    journal = store.open(1)
    drawn = call("now")
    journal.drawn(journal.begin(drawn), b"noon")  # written first, so the cancellation meets what is not yet handed in
    recording = asyncio.create_task(journal.record(journal.begin(call("ask")), b"paid", Usage(llm_calls=1)))
    await asyncio.sleep(0)
    await asyncio.sleep(0)
    recording.cancel()
    with pytest.raises(asyncio.CancelledError):
        await recording
    settling = asyncio.create_task(journal.settle(None))
    await asyncio.sleep(0)
    assert not settling.done()
    store.may_write.set()
    await settling
    assert journal.usage.llm_calls == 1
    again = store.open(2)
    assert unpack(again.take(call("ask")).result) == b"paid"
    assert unpack(again.take(drawn).result) == b"noon"


async def test_an_attempt_that_can_only_end_does_nothing_more_whatever_its_code_makes_of_it():
    store = Store()
    first = store.open(1)
    await first.begun(first.begin(call("pay")))
    await first.record(first.begin(call("ask")), b"answer")
    journal = store.open(2)
    error = RuntimeError("nobody knows")
    assert journal.unknown(journal.take(call("pay")), error) is error
    for attempted in (lambda: journal.take(call("ask")), lambda: journal.begin(call("new")), journal.check_may_act):
        with pytest.raises(RuntimeError, match="nobody knows"):
            attempted()
    assert journal.stopped_by is error
    await journal.settle(error)
    assert [effect.status for effect in store.effects.values()] == [EffectStatus.UNKNOWN, EffectStatus.DONE]


async def test_an_attempt_that_may_not_record_asks_for_nothing_more():
    store = Store()
    journal = store.open(1)
    store.writes_left = 0
    with pytest.raises(Superseded):
        await journal.record(journal.begin(call("ask")), b"late")
    with pytest.raises(Superseded):
        journal.begin(call("ask again"))
