"""The group commit by itself, on a `write` that tests command."""

import asyncio

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from dayshift.domain import clock
from dayshift.domain.errors import LedgerAway, WrongUse
from dayshift.domain.events import Fault
from dayshift.ledger import BadRow, GroupCommit, LedgerBusy, LedgerMisfit
from dayshift.ledger import group_commit as module
from dayshift.telemetry import subscribe


class Table:
    """A `write` that can be held, and told how to fail; it doubles each row."""

    def __init__(self) -> None:
        self.batches: list[list[int]] = []
        self.errors: list[Exception] = []
        self.bad: set[int] = set()
        self.open = asyncio.Event()
        self.open.set()
        self.entered = asyncio.Event()

    async def write(self, rows):
        self.batches.append(list(rows))
        self.entered.set()
        await self.open.wait()
        if self.errors:
            raise self.errors.pop(0)
        if self.bad & set(rows):
            raise BadRow("a bad row")
        return [row * 2 for row in rows]


@pytest.fixture
def table():
    return Table()


@pytest.fixture(autouse=True)
def _short_waits(monkeypatch):
    monkeypatch.setattr(module, "BUSY_WAIT_SECONDS", (0.001, 0.002))
    monkeypatch.setattr(module, "AWAY_WAIT_SECONDS", (0.001, 0.002))


def group(table: Table, **options) -> GroupCommit[int, int]:
    return GroupCommit("test", table.write, on_commit=options.pop("on_commit", lambda _: None), **options)


async def submit_all(gc, rows, **options):
    return await asyncio.gather(*[gc.submit(row, 1, **options) for row in rows], return_exceptions=True)


async def test_each_caller_gets_the_answer_to_its_own_row(table):
    assert await submit_all(group(table, max_rows=7), range(100)) == [row * 2 for row in range(100)]


async def test_rows_of_one_turn_share_a_write_and_no_timer_delays_a_single_one(table):
    gc = group(table, writers=1)
    await submit_all(gc, range(10))
    assert table.batches == [list(range(10))]
    turns = 0
    waiting = asyncio.ensure_future(gc.submit(11, 1))
    while not waiting.done():
        turns += 1
        await asyncio.sleep(0)
    assert turns < 10


async def test_what_arrives_while_a_write_runs_goes_into_the_next(table):
    gc = group(table, writers=1)
    table.open.clear()
    first = asyncio.ensure_future(gc.submit(0, 1))
    await table.entered.wait()
    others = asyncio.ensure_future(submit_all(gc, range(1, 30)))
    await asyncio.sleep(0)
    table.open.set()
    assert (await first, len(await others)) == (0, 29)
    assert table.batches == [[0], list(range(1, 30))]


async def test_no_more_writes_run_at_once_than_writers(table):
    gc = group(table, writers=2, max_rows=1)
    table.open.clear()
    waiting = asyncio.ensure_future(submit_all(gc, range(5)))
    for _ in range(5):
        await asyncio.sleep(0)
    assert len(table.batches) == 2
    table.open.set()
    await waiting


async def test_batches_are_bounded_in_rows_and_bytes_and_a_large_row_goes_alone(table):
    gc = group(table, writers=1, max_rows=3, max_bytes=10)
    await asyncio.gather(*[gc.submit(row, size) for row, size in enumerate([4, 4, 4, 1, 1, 1, 1, 50, 2])])
    assert table.batches == [[0, 1], [2, 3, 4], [5, 6], [7], [8]]


async def test_only_bad_rows_fail(table):
    table.bad = {3, 17}
    answers = await submit_all(group(table), range(20))
    assert [isinstance(answer, BadRow) for answer in answers] == [row in table.bad for row in range(20)]
    assert [answer for answer in answers if isinstance(answer, int)] == [r * 2 for r in range(20) if r not in table.bad]


@settings(max_examples=30, deadline=None)
@given(
    rows=st.integers(1, 60),
    bad=st.sets(st.integers(0, 59), max_size=8),
    max_rows=st.integers(1, 20),
    writers=st.integers(1, 3),
    faults=st.lists(st.sampled_from([LedgerBusy, LedgerAway]), max_size=4),
)
def test_whatever_goes_wrong_good_rows_are_answered_and_bad_rows_fail_alone(rows, bad, max_rows, writers, faults):
    async def run():
        table = Table()
        table.bad = bad
        table.errors = [fault("not now") for fault in faults]
        gc = group(table, max_rows=max_rows, writers=writers)
        answers = await submit_all(gc, range(rows))
        for row, answer in enumerate(answers):
            assert isinstance(answer, BadRow) if row in bad else answer == row * 2
        assert gc.pending_bytes == 0
        await gc.close()

    asyncio.run(run())


async def test_busy_and_away_repeat_the_batch(table):
    table.errors = [LedgerBusy("deadlock"), LedgerAway("gone"), LedgerAway("gone")]
    assert await submit_all(group(table, writers=1), [1, 2]) == [2, 4]
    assert table.batches == [[1, 2]] * 4


async def test_a_row_without_a_deadline_outlives_one_that_has_one(table):
    table.errors = [LedgerAway("gone")] * 500
    gc = group(table, writers=1)
    patient = asyncio.ensure_future(gc.submit(1, 1))
    with pytest.raises(LedgerAway):
        await gc.submit(2, 1, deadline_seconds=0.05)
    table.errors.clear()
    assert await patient == 2


async def test_a_row_that_waits_behind_a_failing_write_expires_too(table):
    table.errors = [LedgerAway("gone")] * 500
    gc = group(table, writers=1, max_rows=1)
    patient = asyncio.ensure_future(gc.submit(1, 1))
    await table.entered.wait()
    with pytest.raises(LedgerAway):
        await gc.submit(2, 1, deadline_seconds=0.0)
    table.errors.clear()
    assert await patient == 2


async def test_waiting_bytes_are_bounded_and_freed(table):
    gc = group(table, writers=1, max_pending_bytes=10)
    table.open.clear()
    first = asyncio.ensure_future(gc.submit(1, 8))
    await table.entered.wait()
    with pytest.raises(LedgerAway) as refused:
        await gc.submit(2, 8)
    assert (refused.value.code, refused.value.retry_after_seconds) == ("ledger_backlog", 1.0)
    table.open.set()
    await first
    assert await gc.submit(2, 8) == 4
    assert await gc.submit(3, 999) == 6, "a row larger than the bound goes when nothing else waits"


async def test_a_caller_that_leaves_disturbs_nobody(table):
    gc = group(table, writers=1)
    table.open.clear()
    in_flight = [asyncio.ensure_future(gc.submit(row, 1)) for row in range(3)]
    await table.entered.wait()
    waiting = [asyncio.ensure_future(gc.submit(row, 1)) for row in range(3, 6)]
    await asyncio.sleep(0)
    in_flight[1].cancel()
    waiting[1].cancel()
    await asyncio.sleep(0)
    table.open.set()
    answers = await asyncio.gather(*in_flight, *waiting, return_exceptions=True)
    assert [answers[n] for n in (0, 2, 3, 5)] == [0, 4, 6, 10]
    assert table.batches == [[0, 1, 2], [3, 5]], "a row that was not taken yet goes with its caller"
    assert gc.pending_bytes == 0


async def test_with_somebody_to_take_the_answers_every_row_is_written_whoever_leaves(table):
    left = []
    gc = group(table, writers=1, on_left=lambda row, answer: left.append((row, answer)))
    table.open.clear()
    callers = [asyncio.ensure_future(gc.submit(0, 1))]
    await table.entered.wait()
    callers += [asyncio.ensure_future(gc.submit(row, 1)) for row in (1, 2)]
    await asyncio.sleep(0)
    callers[0].cancel()
    callers[1].cancel()
    await asyncio.sleep(0)
    assert list(gc.unanswered()) == [0, 1, 2]
    table.open.set()
    await gc.all_answered()
    assert (left, await callers[2], gc.pending_bytes) == ([(0, 0), (1, 2)], 4, 0)


async def test_a_bad_row_whose_caller_has_left_is_written_once_and_dropped(table):
    left = []
    table.bad = {0}
    gc = group(table, writers=1, on_left=lambda row, _: left.append(row))
    table.open.clear()
    callers = [asyncio.ensure_future(gc.submit(row, 1)) for row in (0, 1)]
    await table.entered.wait()
    callers[0].cancel()
    await asyncio.sleep(0)
    table.open.set()
    assert await callers[1] == 2
    await gc.all_answered()
    assert (left, table.batches, gc.pending_bytes) == ([], [[0, 1], [0], [1]], 0)


async def test_a_bug_in_write_reaches_every_caller_and_the_next_row_goes_on(table):
    gc = group(table, writers=1)
    table.errors = [ZeroDivisionError("bug")]
    assert all(isinstance(answer, ZeroDivisionError) for answer in await submit_all(gc, [1, 2]))
    assert await gc.submit(3, 1) == 6


async def test_a_write_that_answers_too_few_rows_is_a_bug_that_is_told():
    async def short(rows):
        return [0] * (len(rows) - 1)

    gc = GroupCommit("short", short, on_commit=lambda _: None)
    with pytest.raises(ValueError, match="zip"):
        await gc.submit(1, 1)


async def test_close_writes_what_was_taken_and_takes_no_more(table):
    gc = group(table, max_rows=2)
    waiting = [asyncio.ensure_future(gc.submit(row, 1)) for row in range(9)]
    await asyncio.sleep(0)
    await gc.close()
    assert [task.result() for task in waiting] == [row * 2 for row in range(9)]
    with pytest.raises(WrongUse):
        await gc.submit(1, 1)
    await gc.close()


async def test_a_commit_is_told_to_telemetry(table):
    events = []
    await submit_all(group(table, writers=1, on_commit=events.append), range(4))
    (event,) = events
    assert (event.operation, event.rows) == ("test", 4)
    assert 0 <= event.duration_seconds < clock.monotonic_seconds()


async def test_every_caller_gets_an_error_object_of_its_own(table):
    table.errors = [ZeroDivisionError("bug")]
    one, two = await submit_all(group(table, writers=1), [1, 2])
    assert one is not two


async def test_while_the_database_does_not_fit_a_row_without_a_deadline_waits_and_the_others_are_told(table):
    reported: list[Fault] = []
    end = subscribe(Fault, reported.append)
    table.errors = [LedgerMisfit("the role has lost a right")] * 5
    gc = group(table, writers=1)
    patient = asyncio.ensure_future(gc.submit(1, 1))
    told = asyncio.ensure_future(gc.submit(2, 1, deadline_seconds=60))
    with pytest.raises(LedgerMisfit, match="lost a right"):
        await told
    assert await patient == 2
    assert [fault.where for fault in reported] == ["ledger.test"]
    end()
