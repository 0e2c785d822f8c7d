import asyncio

import pytest

from dayshift.domain.errors import Conflict, InvalidInput, NotFound
from dayshift.ledger import Ledger
from dayshift.settings import SettingsStore


@pytest.fixture
def store(ledger: Ledger) -> SettingsStore:
    return SettingsStore(ledger)


async def test_what_was_put_is_read_with_who_when_and_why(store: SettingsStore):
    put = await store.put("tenants.acme.weight", 3, by="ann", why="they pay more")
    got = await store.get("tenants.acme.weight")
    assert (got.value, got.version, got.by, got.why) == (3, 1, "ann", "they pay more")
    assert got == put
    assert (await store.get("tenants.acme")).value == {"weight": 3}
    assert (await store.get()).value == {"tenants": {"acme": {"weight": 3}}}


async def test_where_nothing_is_set_the_default_is_told(store: SettingsStore):
    got = await store.get("queues.anything.max_depth")
    assert (got.value, got.version, got.by, got.at) == (100_000, 0, None, None)
    await store.put("tenants.*", {"weight": 5}, by="ann")
    assert (await store.get("tenants.acme.weight")).value == 5


async def test_an_unknown_setting_is_not_found(store: SettingsStore):
    with pytest.raises(NotFound, match=r"did you mean gateway\.max_body_bytes"):
        await store.get("gateway.max_body_byte")


async def test_a_bad_value_is_refused_whole_with_its_path_and_reason(store: SettingsStore):
    await store.put("queues.a.paused", value=True, by="ann")
    with pytest.raises(InvalidInput) as caught:
        await store.put("queues.a", {"max_depth": 5, "paused": "maybe"}, by="ann")
    assert [(e.path, e.message) for e in caught.value.errors] == [("queues.a.paused", 'Expected `bool`, got "maybe"')]
    assert (await store.get("queues.a")).value == {"paused": True}
    assert len(await store.history()) == 1


@pytest.mark.parametrize("value", [object(), "\ud800", "x" * 300_000])
async def test_what_is_no_json_or_too_large_is_refused(store: SettingsStore, value: object):
    with pytest.raises(InvalidInput):
        await store.put("tenants.a.flags.x", value, by="ann")


async def test_of_two_writers_at_once_one_wins_and_the_other_is_told(store: SettingsStore):
    seen = (await store.put("tenants.acme.weight", 1, by="ann")).version

    async def write(by: str, weight: int) -> object:
        return await store.put("tenants.acme.weight", weight, by=by, if_version=seen)

    answers = await asyncio.gather(write("ann", 2), write("bob", 3), return_exceptions=True)
    (loser,) = [answer for answer in answers if isinstance(answer, Conflict)]
    (winner,) = [answer for answer in answers if not isinstance(answer, Exception)]
    assert loser.code == "version_mismatch"
    assert winner.by in loser.message
    assert (await store.get("tenants.acme.weight")).value == winner.value


async def test_writers_of_different_settings_do_not_collide(store: SettingsStore):
    await store.put("gateway.default_agent", "echo", by="ann")
    answers = await asyncio.gather(*(store.put(f"tenants.t{n}.weight", n, by="x", if_version=1) for n in range(1, 9)))
    assert sorted(answer.version for answer in answers) == list(range(2, 10))
    assert len((await store.get("tenants")).value) == 8


async def test_a_condition_looks_above_and_below_its_path(store: SettingsStore):
    await store.put("queues.a.paused", value=True, by="ann")
    await store.put("queues.a", {"max_depth": 9}, by="bob")
    with pytest.raises(Conflict):
        await store.put("queues.a.paused", value=False, by="ann", if_version=1)
    await store.put("queues.ab.paused", value=True, by="ann", if_version=1)  # a neighbour whose name begins alike
    with pytest.raises(Conflict):
        await store.unset("queues", by="ann", if_version=2)
    with pytest.raises(Conflict, match="no settings version 99"):
        await store.put("gateway.default_agent", "a", by="ann", if_version=99)


async def test_what_get_tells_is_a_condition_that_holds(store: SettingsStore):
    await store.put("queues.a", {"max_depth": 9, "paused": True}, by="ann")
    await store.unset("queues.a.paused", by="bob")
    await store.put("gateway.default_agent", "x", by="bob")
    got = await store.get("queues.a")
    assert (got.value, got.version) == ({"max_depth": 9}, 2)
    await store.put("queues.a", {"max_depth": 8}, by="ann", if_version=got.version)


async def test_unset_takes_back_what_lies_below_and_inside(store: SettingsStore):
    await store.put("queues.a", {"max_depth": 9, "paused": True}, by="ann")
    await store.put("queues.a.max_depth", 10, by="ann")
    unset = await store.unset("queues.a.paused", by="ann")
    assert (unset.unset, unset.value) == (True, None)
    assert (await store.get("queues.a")).value == {"max_depth": 10}
    await store.unset("queues", by="ann")
    assert (await store.get()).value == {}
    assert (await store.get("queues.a.max_depth")).value == 100_000


async def test_history_is_paged_newest_first(store: SettingsStore):
    for weight in range(1, 6):
        await store.put("tenants.acme.weight", weight, by="ann")
    await store.unset("tenants.acme", by="bob", why="gone")
    first = await store.history(limit=2)
    assert [(change.version, change.path) for change in first] == [(6, "tenants.acme"), (5, "tenants.acme.weight")]
    assert (first[0].by, first[0].why, first[0].unset) == ("bob", "gone", True)
    rest = await store.history(limit=10, after=first[-1].version)
    assert [change.value for change in rest] == [4, 3, 2, 1]


async def test_diff_tells_innermost_values(store: SettingsStore):
    await store.put("tenants.acme", {"weight": 1, "concurrent": 4}, by="ann")
    await store.put("tenants.acme", {"weight": 2}, by="ann")
    await store.put("queues.a.paused", value=True, by="ann")
    told = {d.path: (d.before, d.after) for d in await store.diff(1)}
    assert told.keys() == {"queues.a.paused", "tenants.acme.concurrent", "tenants.acme.weight"}
    assert told["tenants.acme.weight"] == (1, 2)
    assert await store.diff(3, 3) == []
    with pytest.raises(NotFound):
        await store.diff(1, 99)


async def test_rollback_is_a_new_version_with_the_old_values(store: SettingsStore):
    await store.put("tenants.acme.weight", 1, by="ann")
    await store.put("queues.a", {"paused": True}, by="ann")
    before = (await store.get()).value
    await store.put("queues.a.paused", value=False, by="bob")
    await store.put("tenants.acme.weight", 7, by="bob")
    back = await store.rollback(2, by="ann")
    assert back.version == 5
    assert back.why == "rollback to version 2"
    assert (await store.get()).value == before
    assert await store.diff(2) == []
    assert (await store.rollback(2, by="ann")).version == 5  # already so: nothing is written
    await store.rollback(0, by="ann")
    assert (await store.get()).value == {}
    (newest, *_) = await store.history()
    assert newest.path == ""
    assert [other.path for other in newest.also] == ["queues.a", "tenants.acme.weight"]


async def test_a_written_version_is_passed_on(ledger: Ledger):
    told: list[int] = []

    async def written(version: int) -> None:
        told.append(version)

    await SettingsStore(ledger, written=written).put("tenants.a.weight", 2, by="ann")
    assert told == [1]
