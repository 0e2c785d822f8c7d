"""The history of conversations: appended once, in order, read in pages, erased as a whole."""

import asyncio

import asyncpg
import pytest
from ledger_builders import accept, finish, new_worker, running, sql, start
from test_ledger_effects import effect_of, ruling

from dayshift.domain import ids
from dayshift.domain.effect import EffectKind
from dayshift.domain.errors import Conflict, InvalidInput, NotFound
from dayshift.domain.task import Started
from dayshift.ledger import EffectWrite, Outcome


def append_of(started: Started, said: str, occurrence: int = 0):
    return effect_of(
        started,
        kind=EffectKind.APPEND,
        name="append",
        occurrence=occurrence,
        key=said.encode().ljust(16, b"."),
        result=said.encode(),
    )


async def said(ledger, name: str = "c", tenant: str = "acme") -> list[str]:
    return [row.body.decode() for row in await ledger.conversations.first(tenant, name, limit=1_000)]


async def test_an_append_is_in_the_history_and_in_the_journal_once_however_often_it_is_written(ledger):
    worker = await new_worker(ledger)
    started = await running(ledger, worker, conversation="c")
    effects = [append_of(started, text) for text in ("one", "two", "three")]
    for _ in range(2):
        assert [await ruling(ledger, effect, worker) for effect in effects] == ["recorded"] * 3
    assert await said(ledger) == ["one", "two", "three"]
    (first, *_) = await ledger.conversations.first("acme", "c", limit=1)
    assert (first.id, first.task_id) == (effects[0].id.replace("effect_", "msg_"), started.id)
    assert len(await ledger.effects.of_task(started.id)) == 3


async def test_appends_of_one_commit_stand_in_the_order_in_which_they_were_handed_in(ledger):
    worker = await new_worker(ledger)
    tasks = [await running(ledger, worker, conversation=name) for name in "abc"]
    texts = [str(number) for number in range(30)]
    await ledger.effects.record(
        [EffectWrite(append_of(started, text), worker) for text in texts for started in reversed(tasks)]
    )
    assert [await said(ledger, name) for name in "abc"] == [texts] * 3


async def test_other_effects_say_nothing(ledger):
    worker = await new_worker(ledger)
    started = await running(ledger, worker, conversation="c")
    assert await ruling(ledger, effect_of(started), worker) == "recorded"
    assert await said(ledger) == []


async def test_an_attempt_that_was_superseded_says_nothing(ledger):
    worker, other = await new_worker(ledger), await new_worker(ledger)
    started = await running(ledger, worker, conversation="c")
    await ledger.workers.release(worker, "silent")
    assert isinstance(await start(ledger, started.id, other), Started)
    assert await ruling(ledger, append_of(started, "late"), worker) == "superseded"
    assert await said(ledger) == []


async def test_a_history_is_read_from_both_ends_in_pages_and_as_it_was(ledger):
    worker = await new_worker(ledger)
    started = await running(ledger, worker, conversation="c")
    for number in range(5):
        await ruling(ledger, append_of(started, str(number)), worker)
    history = ledger.conversations
    rows = await history.first("acme", "c", limit=5)
    assert [row.body for row in await history.first("acme", "c", limit=2, after=rows[1].id)] == [b"2", b"3"]
    assert [row.body for row in await history.latest("acme", "c", limit=2)] == [b"4", b"3"]
    assert [row.body for row in await history.latest("acme", "c", limit=9, before=rows[2].id)] == [b"1", b"0"]
    assert [row.body for row in await history.latest("acme", "c", limit=2, up_to_seq=rows[2].seq)] == [b"2", b"1"]
    for unknown in (ids.new(ids.MESSAGE), "x", rows[0].id + "0"):
        with pytest.raises(InvalidInput):
            await history.latest("acme", "c", limit=2, before=unknown)
    with pytest.raises(InvalidInput):  # of another tenant
        await history.latest("other", "c", limit=2, before=rows[0].id)


async def test_conversations_are_listed_newest_first_each_tenants_own(ledger):
    for name in ("a", "b", "c"):
        await accept(ledger, conversation=name)
    await accept(ledger, conversation="a")
    await accept(ledger, conversation="theirs", tenant="other")
    rows = await ledger.conversations.list("acme", limit=10)
    assert [(row.name, row.unfinished, row.holder) for row in rows] == [("c", 1, None), ("b", 1, None), ("a", 2, None)]
    assert [row.name for row in await ledger.conversations.list("acme", limit=1, after="c")] == ["b"]
    assert [row.name for row in await ledger.conversations.list("acme", limit=9, after="b")] == ["a"]
    assert await ledger.conversations.get("acme", "theirs") is None


async def test_one_is_made_with_its_first_messages_and_not_twice(ledger):
    made = await ledger.conversations.create("acme", "c", [b"one", b"two"])
    assert (made.name, made.unfinished, await said(ledger)) == ("c", 0, ["one", "two"])
    with pytest.raises(Conflict, match="already"):
        await ledger.conversations.create("acme", "c", [b"three"])
    await ledger.conversations.create("other", "c", [])
    assert (await said(ledger), await said(ledger, tenant="other")) == (["one", "two"], [])


async def test_erasing_takes_the_history_and_waits_for_no_unfinished_task(ledger):
    worker = await new_worker(ledger)
    started = await running(ledger, worker, conversation="c")
    await ruling(ledger, append_of(started, "one"), worker)
    with pytest.raises(Conflict, match="1 unfinished task"):
        await ledger.conversations.erase("acme", "c")
    await finish(ledger, started, worker)
    with pytest.raises(NotFound):
        await ledger.conversations.erase("other", "c")
    await ledger.conversations.erase("acme", "c")
    assert (await ledger.conversations.get("acme", "c"), await said(ledger)) == (None, [])
    assert await ledger.tasks.get(started.id, "acme") is not None
    with pytest.raises(NotFound):
        await ledger.conversations.erase("acme", "c")


async def test_erasing_sees_what_was_said_while_it_waited_for_the_lock(ledger, database_url):
    """A task ends, another runs and ends, while the erasure waits for the conversation's row."""
    await ledger.conversations.create("acme", "c", [b"one"])
    connection = await asyncpg.connect(database_url)
    try:
        async with asyncio.timeout(10):
            changing = connection.transaction()
            await changing.start()
            await connection.execute("SELECT FROM conversations FOR UPDATE")
            erasing = asyncio.ensure_future(ledger.conversations.erase("acme", "c"))
            while not await connection.fetchval(
                "SELECT count(*) FROM pg_stat_activity WHERE datname = current_database() AND wait_event_type = 'Lock'"
            ):
                await asyncio.sleep(0.005)
            await connection.execute(
                "INSERT INTO conversation_messages (tenant, conversation, id, body) VALUES ('acme', 'c', gen_random_uuid(), 'late')"
            )
            await changing.commit()
            await erasing
    finally:
        await connection.close()
    assert await said(ledger) == []


async def test_what_nobody_uses_is_forgotten_and_a_history_only_when_it_is_not_to_be_kept(ledger, database_url):
    worker = await new_worker(ledger)
    for name in ("busy", "talked", "silent", "fresh"):
        started = await running(ledger, worker, conversation=name)
        if name != "silent":
            await ruling(ledger, append_of(started, name), worker)
        if name != "busy":
            await finish(ledger, started, worker, Outcome.SUCCEEDED)
    await sql(database_url, "UPDATE conversations SET touched_at = now() - interval '2 days' WHERE name <> 'fresh'")
    history = ledger.conversations
    assert (await history.forget_idle(3 * 86_400)).forgotten == 0
    assert (await history.forget_idle(86_400)).forgotten == 1
    assert [row.name for row in await history.list("acme", limit=9)] == ["fresh", "talked", "busy"]
    assert (await history.forget_idle(86_400, history_seconds=3 * 86_400)).forgotten == 0
    assert (await history.forget_idle(3 * 86_400, history_seconds=86_400)).forgotten == 1
    assert [row.name for row in await history.list("acme", limit=9)] == ["fresh", "busy"]
    assert (await said(ledger, "talked"), await said(ledger, "busy")) == ([], ["busy"])


async def test_a_sweep_goes_through_all_in_pages(ledger):
    for number in range(5):
        await ledger.conversations.create("acme", f"c{number}", [])
    sweep = await ledger.conversations.forget_idle(86_400, limit=2)
    seen = [sweep.next]
    while sweep.next is not None:
        sweep = await ledger.conversations.forget_idle(86_400, after=sweep.next, limit=2)
        seen.append(sweep.next)
    assert seen == [("acme", "c1"), ("acme", "c3"), None]
