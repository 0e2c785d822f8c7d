import asyncio

import asyncpg
import pytest
from ledger_builders import accept, finish, from_now, new_worker, running, sql, start, worker_row

from dayshift.domain import ids
from dayshift.domain.errors import Conflict, NotFound
from dayshift.ledger import AgentRow, BadRow, NewKey


def agent_row(**fields) -> AgentRow:
    return AgentRow(
        **{"name": "echo", "version": "v1", "queue": "default", "input_schema": b"{}", "output_schema": b"{}", **fields}
    )


def new_key(**fields) -> NewKey:
    key_id = ids.new(ids.KEY)
    return NewKey(
        **{"id": key_id, "hash": key_id.encode(), "prefix": "dsk_ab", "tenant": "acme", "scopes": [], **fields}
    )


async def test_a_beat_renews_a_lease_and_a_release_ends_it_for_good(ledger):
    row = worker_row(agents=["a", "b"], slots=3)
    await ledger.workers.register(row)
    before = (await ledger.workers.list())[0]
    assert (before.id, before.agents, before.slots, before.host) == (row.id, ["a", "b"], 3, "box")
    answer = await ledger.workers.beat(row.id, 2, True, 0.25)
    assert (answer.released, answer.epoch, answer.cancels) == (False, 0, [])
    after = (await ledger.workers.list())[0]
    assert (after.running, after.draining, after.loop_lag_seconds) == (2, True, 0.25)
    assert after.seen_at > before.seen_at
    assert await ledger.workers.release(row.id, "stopped")
    assert not await ledger.workers.release(row.id, "stopped")
    assert (await ledger.workers.beat(row.id, 0, False, 0.0)).released
    assert await ledger.workers.list() == []
    assert (await ledger.workers.beat(ids.new(ids.WORKER), 0, False, 0.0)).released


async def test_silence_is_measured_by_the_ledgers_clock_and_a_beat_prevents_a_release(ledger, database_url):
    quiet, lively = await new_worker(ledger), await new_worker(ledger)
    await sql(database_url, "UPDATE workers SET seen_at = seen_at - interval '11 seconds' WHERE id = $1", quiet[7:])
    assert await ledger.workers.silent(10) == [quiet]
    assert not await ledger.workers.release(lively, "silent", only_if_silent_seconds=10)
    await ledger.workers.beat(quiet, 0, False, 0.0)
    assert not await ledger.workers.release(quiet, "silent", only_if_silent_seconds=10)
    assert await ledger.workers.silent(10) == []


async def test_a_released_worker_is_looked_after_until_it_holds_nothing(ledger, database_url):
    dead, alive = await new_worker(ledger), await new_worker(ledger)
    lost = await running(ledger, dead)
    await ledger.workers.release(dead, "died")
    assert await ledger.workers.silent(10) == [dead]
    await sql(database_url, "UPDATE workers SET released_at = released_at - interval '2 days' WHERE id = $1", dead[7:])
    assert await ledger.workers.remove_old() == 0
    await finish(ledger, await start(ledger, lost.id, alive), alive)
    assert await ledger.workers.silent(10) == []
    assert await ledger.workers.remove_old() == 1


async def test_of_many_that_release_one_worker_one_did_it(ledger):
    worker = await new_worker(ledger)
    assert sum(await asyncio.gather(*[ledger.workers.release(worker, "died") for _ in range(10)])) == 1


async def test_the_newest_version_of_an_agent_is_the_one_registered_last(ledger):
    await ledger.registry.register([agent_row(), agent_row(name="other", queue="q2", options=b'{"x":1}')])
    first = (await ledger.poll()).registry_version
    assert first == 1
    await ledger.registry.register([agent_row(), agent_row(name="other", queue="q2", options=b'{"x":1}')])
    assert (await ledger.poll()).registry_version == first, "nothing changed for a reader"
    await ledger.registry.register([agent_row(version="v2", input_schema=b'{"type":"object"}')])
    echo, other = await ledger.registry.all()
    assert (echo.version, echo.versions, echo.input_schema) == ("v2", ["v2", "v1"], b'{"type":"object"}')
    assert (other.queue, other.options, other.versions) == ("q2", b'{"x":1}', ["v1"])
    await ledger.registry.register([agent_row()])
    assert (await ledger.registry.all())[0].versions == ["v1", "v2"]
    assert (await ledger.poll()).registry_version == 3
    await ledger.registry.register([])


async def test_keys_are_found_by_hash_and_close_for_good(ledger):
    made = await ledger.keys.create(new_key(scopes=["admin"]))
    await ledger.keys.create(new_key(tenant="globex", expires_at=from_now(-1)))
    assert [(key.id, key.tenant, key.scopes) for key in await ledger.keys.active()] == [(made.id, "acme", ["admin"])]
    assert [key.id for key in await ledger.keys.list("acme")] == [made.id]
    everyone = await ledger.keys.list()
    assert [key.tenant for key in everyone] == ["globex", "acme"]
    assert [key.tenant for key in await ledger.keys.list(after=everyone[0].id)] == ["acme"]
    await ledger.keys.touch([made.id])
    assert (await ledger.keys.list("acme"))[0].last_used_at is not None
    version = (await ledger.poll()).keys_version
    for tenant, key_id in (("globex", made.id), ("acme", "key_nonsense"), (None, ids.new(ids.KEY))):
        with pytest.raises(NotFound):
            await ledger.keys.revoke(key_id, tenant)
    assert (await ledger.poll()).keys_version == version
    revoked = await ledger.keys.revoke(made.id, "acme")
    assert revoked.revoked_at is not None
    assert (await ledger.keys.revoke(made.id)).revoked_at == revoked.revoked_at
    assert (await ledger.poll()).keys_version == version + 1
    assert await ledger.keys.active() == []


async def test_two_keys_of_one_hash_are_refused(ledger):
    await ledger.keys.create(new_key(hash=b"same"))
    with pytest.raises(BadRow):
        await ledger.keys.create(new_key(hash=b"same"))


async def test_settings_are_versions_that_only_grow(ledger, database_url):
    assert (await ledger.settings.current()).version == 0
    first = await ledger.settings.write("queues.default", b'{"paused":true}', by="ann", why="incident")
    assert (first.version, first.by, first.why) == (1, "ann", "incident")
    await ledger.settings.write_many({"tenants.acme": b'{"weight":3}', "queues.default": None}, by="bob")
    state = await ledger.settings.current()
    assert (state.version, set(state.entries)) == (2, {"tenants.acme"})
    older = await ledger.settings.current(1)
    assert (older.version, older.entries["queues.default"].value) == (1, b'{"paused":true}')
    history = await ledger.settings.history()
    assert [(entry.version, entry.path) for entry in history] == [
        (2, "queues.default"),
        (2, "tenants.acme"),
        (1, "queues.default"),
    ]
    assert [entry.value for entry in await ledger.settings.history("queues.default")] == [None, b'{"paused":true}']
    assert [entry.version for entry in await ledger.settings.history(below=2, limit=5)] == [1]
    assert (await ledger.poll()).settings_version == 2
    for change in ("UPDATE settings_versions SET by_whom = 'eve'", "DELETE FROM settings_versions"):
        with pytest.raises(asyncpg.RaiseError, match="append-only"):
            await sql(database_url, change)


@pytest.mark.by_url
async def test_of_writers_that_saw_the_same_version_one_wins_and_the_others_are_told(ledger):
    writes = [ledger.settings.write("queues.a", b"{}", by=f"w{n}", if_version=0) for n in range(8)]
    answers = await asyncio.gather(*writes, return_exceptions=True)
    assert sum(isinstance(answer, Conflict) for answer in answers) == 7
    assert (await ledger.settings.current()).version == 1
    await asyncio.gather(*[ledger.settings.write("queues.b", b"{}", by=f"w{n}") for n in range(8)])
    assert (await ledger.settings.current()).version == 9


async def test_the_epoch_is_raised_once_and_the_right_to_rebuild_is_one_processes(ledger):
    assert (await ledger.plane_state.get()).epoch == 0
    raised = await asyncio.gather(*[ledger.plane_state.raise_epoch(0, "run-a") for _ in range(6)])
    assert sorted(raised, key=str) == [1, None, None, None, None, None]
    state = await ledger.plane_state.get()
    assert (state.epoch, state.run_id, (await ledger.poll()).epoch) == (1, "run-a", 1)
    async with ledger.plane_state.rebuild_lock() as mine, ledger.plane_state.rebuild_lock() as other:
        assert (mine, other) == (True, False)
    async with ledger.plane_state.rebuild_lock() as mine:
        assert mine


async def test_an_empty_poll_costs_one_statement_and_names_no_cancels(ledger):
    await accept(ledger)
    assert (await ledger.poll()).cancels == []
    assert (await ledger.poll(await new_worker(ledger))).cancels == []
