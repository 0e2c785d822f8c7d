"""A dead worker's tasks run elsewhere, and what killed its process alone is a dead letter."""

import pytest

from dayshift.domain import events as domain_events
from dayshift.domain.task import Started, Status
from dayshift.ledger import StartRefusal
from dayshift.maintenance import MaintenanceConfig
from dayshift.maintenance.rescuer import Rescuer
from dayshift.tasks import Outcome
from dayshift.telemetry import subscribe

from .conftest import TENANT, Hands, House, eventually


@pytest.fixture
async def heir(house: House) -> Hands:
    return await Hands(house).register()


async def test_running_and_claimed_tasks_move_and_the_old_attempt_is_silenced(
    house: House, hands: Hands, heir: Hands
) -> None:
    sent = [(await house.submit(str(n))).task.id for n in range(3)]
    await house.told()
    assert await hands.claim(3) == sent
    old = [await hands.start(task_id) for task_id in sent[:2]]  # the third is claimed and not started
    lost: list[domain_events.TaskLost] = []
    end = subscribe(domain_events.TaskLost, lost.append)
    assert await house.services.rescue.rescue_worker(hands.id, "its process died") == 3
    assert sorted(await heir.claim(5)) == sorted(sent)
    new = [await heir.start(task_id) for task_id in sent]
    end()
    assert all(isinstance(started, Started) for started in new)
    assert [(one.attempt, one.losses, one.failures) for one in new] == [(2, 1, 0), (2, 1, 0), (1, 0, 0)]
    assert [event.task_id for event in lost] == sent[:2]
    late = await house.services.finishing.finish(old[0], hands.id, Outcome(kind="succeeded", output=b"1"))
    assert not late.accepted


async def test_a_rescue_may_be_repeated_and_a_living_worker_is_left_alone(house: House, hands: Hands) -> None:
    await house.submit()
    await house.told()
    (task_id,) = await hands.claim()
    await hands.start(task_id)
    assert await house.services.rescue.rescue_worker(hands.id, "silent", only_if_silent_seconds=10) == 0
    for _ in range(3):
        assert await house.services.rescue.rescue_worker(hands.id, "its process died") == 1


async def test_two_losses_in_a_row_ask_for_quarantine_and_dying_there_is_poison(house: House, heir: Hands) -> None:
    task_id = (await house.submit(conversation="c")).task.id
    behind = (await house.submit(conversation="c")).task.id
    for _ in range(2):
        victim = await Hands(house).register()
        assert await victim.claim_within(5) == [task_id]
        assert isinstance(await victim.start(task_id), Started)
        await house.services.rescue.rescue_worker(victim.id, "its process died")
    victim = await Hands(house).register()
    assert await victim.claim_within(5) == [task_id]
    refusal = await victim.start(task_id)
    assert isinstance(refusal, StartRefusal)
    assert refusal.reason == "quarantine"
    assert isinstance(await house.services.starting.start(task_id, victim.id, quarantine=True), Started)
    await house.services.rescue.rescue_worker(victim.id, "its process died")
    task = await house.services.waiters.wait(task_id, TENANT, 5)
    assert task is not None
    assert (task.status, task.error and task.error.code) == (Status.FAILED, "poison")
    await eventually(lambda: _starts_next(heir, behind))


async def test_a_quarantine_process_that_only_fell_silent_is_no_proof_of_poison(house: House) -> None:
    task_id = (await house.submit()).task.id
    for expected_attempt in (1, 2, 3, 4):
        victim = await Hands(house).register()
        assert await victim.claim_within(5) == [task_id]
        started = await house.services.starting.start(task_id, victim.id, quarantine=expected_attempt > 2)
        assert isinstance(started, Started)
        assert started.attempt == expected_attempt
        await house.services.rescue.rescue_worker(victim.id, "no beat", only_if_silent_seconds=0.0)
    assert (await house.ledger.tasks.get(task_id, TENANT)).status is Status.RUNNING


async def _starts_next(heir: Hands, task_id: str) -> bool:
    return any([isinstance(await heir.start(claimed), Started) for claimed in await heir.claim() if claimed == task_id])


async def test_the_rescuer_needs_both_planes_to_say_so(house: House, hands: Hands, heir: Hands) -> None:
    await house.submit()
    await house.told()
    (task_id,) = await hands.claim()
    await hands.start(task_id)
    await hands.beat([task_id])
    rescuer = Rescuer(house.services, MaintenanceConfig(silent_after=0.3))

    async def is_silent() -> bool:
        return hands.id in await house.ledger.workers.silent(0.3)

    await eventually(is_silent)
    await house.ledger.workers.beat(heir.id, 0, False, 0.0)
    await rescuer.run_once()  # the plane still has its lease
    assert await heir.claim() == []
    await house.plane._wire.ask(b"DEL", "ds:{0}:lease:" + hands.id)
    await rescuer.run_once()
    assert await heir.claim() == [task_id]


async def test_what_only_the_plane_remembers_of_a_dead_worker_is_freed(house: House, hands: Hands, heir: Hands) -> None:
    await house.submit()
    await house.told()
    (task_id,) = await hands.claim()
    await house.ledger.workers.release(hands.id, "rescued by one that died before it reached the plane")
    await Rescuer(house.services, MaintenanceConfig()).run_once()
    assert await heir.claim() == [task_id]


async def test_a_conversation_goes_on_although_its_finisher_died_before_it_told(
    house: House, hands: Hands, heir: Hands, monkeypatch: pytest.MonkeyPatch
) -> None:
    first = (await house.submit("1", conversation="c")).task.id
    second = (await house.submit("2", conversation="c")).task.id
    await house.told()
    await hands.claim()
    with monkeypatch.context() as dying:
        dying.setattr(house.services.next_in_line, "call", lambda tenant, conversation: None)
        await hands.run(first)
    await house.told()
    assert await heir.claim() == []
    await house.services.rescue.rescue_worker(hands.id, "its process died")
    assert await heir.claim() == [second]
