"""What an agent did, as it is shown, and a person's word about what nobody knows."""

import msgspec
import pytest

from dayshift.domain import clock, ids
from dayshift.domain.effect import Effect, EffectKind, EffectStatus
from dayshift.domain.task import Started, TaskError, Usage
from dayshift.journal import pack, unpack
from dayshift.ledger import EffectWrite
from dayshift.tasks import Outcome

pytestmark = pytest.mark.asyncio(loop_scope="module")


async def with_effects(http, house, echo, *statuses: EffectStatus) -> tuple[Started, list[Effect]]:
    """A running task whose agent has done so much."""
    task_id = (await http.post("/v1/tasks", json=echo)).json()["id"]
    started = await house.start(task_id)
    effects = [_effect(started, number, status) for number, status in enumerate(statuses)]
    await house.ledger.effects.record([EffectWrite(effect, house.worker_id) for effect in effects])
    return started, effects


def _effect(started, number: int, status: EffectStatus) -> Effect:
    has_ended = status in (EffectStatus.DONE, EffectStatus.FAILED)
    return Effect(
        id=ids.new(ids.EFFECT), task_id=started.id, key=bytes([number]) * 16, occurrence=0, attempt=started.attempt,
        kind=EffectKind.TOOL, name="refund", status=status, started_at=clock.now(),
        finished_at=clock.now() if has_ended else None, usage=Usage(cost_usd=0.5), result=pack(b"1") if has_ended else None,
    )  # fmt: skip


async def test_effects_are_listed_in_the_order_in_which_they_began(http, house, echo):
    started, effects = await with_effects(http, house, echo, EffectStatus.DONE, EffectStatus.STARTED, EffectStatus.DONE)
    first = (await http.get(f"/v1/tasks/{started.id}/effects?limit=2")).json()
    assert ([one["id"] for one in first["data"]], first["has_more"]) == ([one.id for one in effects[:2]], True)
    rest = (await http.get(f"/v1/tasks/{started.id}/effects", params={"after": effects[1].id})).json()
    assert [one["id"] for one in rest["data"]] == [effects[2].id]
    shown = first["data"][0]
    assert (shown["kind"], shown["name"], shown["status"], shown["attempt"]) == ("tool", "refund", "done", 1)
    assert (shown["cost_usd"], shown["replayed"], shown["occurrence"]) == (0.5, False, 0)
    assert "result" not in shown


async def test_a_preview_is_shown_only_where_there_is_one(http, house, echo):
    started, _ = await with_effects(http, house, echo, EffectStatus.DONE)
    effect = msgspec.structs.replace(_effect(started, 1, EffectStatus.DONE), preview='{"order":7}')
    await house.ledger.effects.record([EffectWrite(effect, house.worker_id)])
    shown = (await http.get(f"/v1/tasks/{started.id}/effects")).json()["data"]
    assert ["preview" in one for one in shown] == [False, True]
    assert shown[1]["preview"] == '{"order":7}'


async def test_another_tenants_effects_are_not_there(http, house, echo):
    started, _ = await with_effects(http, house, echo, EffectStatus.DONE)
    key = await house.make_key("somebody-else", "submit", "read")
    async with house.client(key) as other:
        assert (await other.get(f"/v1/tasks/{started.id}/effects")).status_code == 404
        body = {"outcome": "performed"}
        answer = await other.post(f"/v1/tasks/{started.id}/effects/{ids.new(ids.EFFECT)}/resolve", json=body)
        assert answer.status_code == 404


async def test_a_person_settles_what_nobody_knows(http, house, echo):
    started, effects = await with_effects(http, house, echo, EffectStatus.STARTED, EffectStatus.STARTED)
    performed, not_performed = (f"/v1/tasks/{started.id}/effects/{effect.id}/resolve" for effect in effects)
    while_running = await http.post(performed, json={"outcome": "performed"})
    assert (while_running.status_code, "runs" in while_running.json()["detail"]) == (409, True)
    outcome = Outcome(kind="failed", error=TaskError("unknown_outcome", "nobody knows"))
    await house.services.finishing.finish(started, house.worker_id, outcome)
    said = await http.post(performed, json={"outcome": "performed", "result": {"refund": 7}})
    assert (said.status_code, said.json()) == (200, {"id": effects[0].id, "outcome": "performed"})
    assert (await http.post(not_performed, json={"outcome": "not_performed"})).status_code == 200
    [left] = await house.ledger.effects.of_task(started.id)
    assert (left.id, left.status, unpack(left.result)) == (effects[0].id, EffectStatus.DONE, b'{"refund":7}')
    assert (await http.post(performed, json={"outcome": "performed"})).status_code == 409
    assert (await http.post(not_performed, json={"outcome": "performed"})).status_code == 404


@pytest.mark.parametrize(
    ("body", "path"),
    [({"outcome": "maybe"}, "outcome"), ({"outcome": "not_performed", "result": 1}, "result"), ({}, "outcome")],
)
async def test_a_wrong_word_changes_nothing(http, house, echo, body, path):
    started, [effect] = await with_effects(http, house, echo, EffectStatus.STARTED)
    answer = await http.post(f"/v1/tasks/{started.id}/effects/{effect.id}/resolve", json=body)
    assert answer.status_code == 422
    assert path in str(answer.json()["errors"])
    assert (await http.get(f"/v1/tasks/{started.id}/effects?after=nonsense")).status_code == 422
