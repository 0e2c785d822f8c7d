"""The hot plane is emptied under load: it is rebuilt, everything is claimable again, and nothing runs twice."""

import asyncio

import pytest

from dayshift.domain import events as domain_events
from dayshift.domain.errors import PlaneAway, PlaneNotReady
from dayshift.domain.stream import Append
from dayshift.domain.task import Place, Started, Status
from dayshift.hotplane import Numbered, Plane
from dayshift.ledger import StartRefusal
from dayshift.tasks import Outcome, announce, events, lane_heads, rebuild
from dayshift.tasks.lane_heads import cut, fair_share
from dayshift.telemetry import subscribe

from .conftest import AGENT, TENANT, Hands, House, eventually, opened


async def flush(house: House) -> None:
    await house.plane._wire.ask(b"FLUSHDB")


async def test_everything_is_claimable_again_and_what_runs_is_not_started_twice(house: House, hands: Hands) -> None:
    sent = [(await house.submit(str(n))).task.id for n in range(30)]
    in_line = [(await house.submit(str(n), conversation="c")).task.id for n in range(3)]
    delayed = (await house.submit("later", delay=0.2)).task.id
    await house.told()
    running = [await hands.start(task_id) for task_id in await hands.claim(10)]
    assert all(isinstance(started, Started) for started in running)
    held = [started.id for started in running]
    await flush(house)
    with pytest.raises(PlaneNotReady):
        await hands.claim()
    assert await house.services.rebuild.rebuild_if_lost()
    assert not await house.services.rebuild.rebuild_if_lost()
    assert await hands.beat(held) == "same"
    other = await Hands(house).register()
    found: list[str] = []

    async def all_found() -> bool:
        found.extend(await other.claim(50))
        return len(found) >= 22

    await eventually(all_found)
    assert sorted(found) == sorted([*sent[10:], in_line[0], delayed])
    for started in running:
        finished = await house.services.finishing.finish(started, hands.id, Outcome(kind="succeeded", output=b"1"))
        assert finished.accepted
        refusal = await other.start(started.id)
        assert isinstance(refusal, StartRefusal)
    await house.told()
    assert await hands.beat([]) == "same"


async def test_under_load_every_task_ends_once(house: House) -> None:
    """Accepts and two workers go on while the plane is emptied three times."""
    sent: list[str] = []
    finished: list[str] = []
    stop = asyncio.Event()

    async def accept() -> None:
        for number in range(240):
            conversation = f"c{number % 5}" if number % 3 == 0 else None
            sent.append((await house.submit(str(number), conversation=conversation)).task.id)
            await asyncio.sleep(0.005)

    async def work() -> None:
        worker = await Hands(house).register()
        while len(finished) < 240:
            try:
                claimed = await worker.claim(8)
            except PlaneNotReady:
                claimed = []
            for task_id in claimed:
                if isinstance(started := await worker.start(task_id), Started):
                    done = await house.services.finishing.finish(
                        started, worker.id, Outcome(kind="succeeded", output=b"1")
                    )
                    assert done.accepted
                    finished.append(task_id)
            await asyncio.sleep(0.005)

    async def maintain() -> None:
        while not stop.is_set():
            await house.services.rebuild.rebuild_if_lost()
            await house.services.announce.young()
            await asyncio.sleep(0.05)

    async def destroy() -> None:
        for _ in range(3):
            await asyncio.sleep(0.35)
            await flush(house)

    maintaining = asyncio.ensure_future(maintain())
    async with asyncio.timeout(90):
        await asyncio.gather(accept(), work(), work(), destroy())
    stop.set()
    await maintaining
    assert sorted(finished) == sorted(sent)
    assert len(set(finished)) == len(finished)
    ended = await house.ledger.tasks.finished_among(sent)
    assert {(task.status, task.attempt, task.losses) for task in ended} == {(Status.SUCCEEDED, 1, 0)}


async def test_of_many_that_notice_one_rebuilds(house: House, ready_database_url: str, valkey_url: str) -> None:
    async with opened(House(ready_database_url, valkey_url)) as second:
        rebuilt: list[domain_events.PlaneRebuilt] = []
        end = subscribe(domain_events.PlaneRebuilt, rebuilt.append)
        await house.submit()
        await house.told()
        await flush(house)
        answers = await asyncio.gather(
            *(one.services.rebuild.rebuild_if_lost() for one in (house, second, house, second))
        )
        end()
        assert answers.count(True) == 1
        assert [(event.ready, event.running) for event in rebuilt] == [(1, 0)]
        known = await house.ledger.plane_state.get()
        assert (await house.plane.state()).marker_epoch == known.epoch == rebuilt[0].epoch


async def test_a_rebuild_that_died_half_way_is_done_again(
    house: House, hands: Hands, monkeypatch: pytest.MonkeyPatch
) -> None:
    task_id = (await house.submit()).task.id
    await house.told()
    await flush(house)

    async def die(_: Plane) -> None:
        raise RuntimeError("killed before the marker")

    with monkeypatch.context() as patched:
        patched.setattr(Plane, "write_marker", die)
        with pytest.raises(RuntimeError):
            await house.services.rebuild.rebuild_if_lost()
    with pytest.raises(PlaneNotReady):
        await hands.claim()
    assert await house.services.rebuild.rebuild_if_lost()
    assert await hands.claim() == [task_id]


async def test_another_process_learns_the_epoch_by_itself(
    house: House, ready_database_url: str, valkey_url: str
) -> None:
    async with opened(House(ready_database_url, valkey_url)) as second:
        await flush(house)
        await house.services.rebuild.rebuild_if_lost()

        async def knows() -> bool:
            return second.plane.epoch == house.plane.epoch

        await eventually(knows, 5)


async def test_a_rebuild_brings_heads_only_and_refills_bring_the_rest(
    house: House, hands: Hands, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(rebuild, "HEADS_A_LANE", 3)
    sent = [(await house.submit(str(n))).task.id for n in range(10)]
    await house.told()
    await flush(house)
    await house.services.rebuild.rebuild_if_lost()
    found: list[str] = []

    async def all_found() -> bool:
        found.extend(await hands.claim(2))
        return len(found) == 10

    await eventually(all_found, 15)
    assert found == sent


def test_a_lane_is_cold_from_the_first_place_beyond_its_share() -> None:
    places = [Place(f"t{n}", AGENT, 5, tenant, n) for n, tenant in enumerate(["a", "a", "a", "b", "b"])]
    heads = cut(places, 2)
    assert [place.seq for place in heads.places] == [0, 1, 3, 4]
    assert [(lane.tenant, lane.from_seq) for lane in heads.cold] == [("a", 2)]


def test_every_lane_has_a_share_however_many_there_are() -> None:
    shares = [fair_share(lanes, a_lane=64, in_all=4_000) for lanes in (0, 1, 100, 4_000, 100_000)]
    assert shares == [64, 64, 40, 1, 1]


async def test_a_rebuild_brings_the_head_of_every_lane_however_many_there_are(
    house: House, hands: Hands, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(rebuild, "HEADS_IN_ALL", 4)
    monkeypatch.setattr(lane_heads, "LANES_A_PAGE", 3)
    sent = [(await house.submit(str(n), tenant=f"tenant{n % 10}")).task.id for n in range(20)]
    await house.told()
    await flush(house)
    await house.services.rebuild.rebuild_if_lost()
    late = (await house.submit("late", tenant="tenant3")).task.id
    await house.told()
    assert sorted(await hands.claim(100)) == sorted(sent[:10])
    found: list[str] = []

    async def all_found() -> bool:
        found.extend(await hands.claim(100))
        return len(found) == 11

    await eventually(all_found, 15)
    assert sorted(found) == sorted([*sent[10:], late])
    assert found.index(late) > found.index(sent[13])


async def test_a_rebuild_that_died_after_the_marker_lacks_only_delayed_tasks(
    house: House, hands: Hands, monkeypatch: pytest.MonkeyPatch
) -> None:
    ready = (await house.submit()).task.id
    await house.submit(delay=300)
    await house.told()
    await flush(house)

    async def die(**_: float) -> int:
        raise RuntimeError("killed behind the marker")

    with monkeypatch.context() as patch:
        patch.setattr(house.services.announce, "delayed", die)
        with pytest.raises(RuntimeError):
            await house.services.rebuild.rebuild_if_lost()
    assert await hands.claim(5) == [ready]
    assert not await house.services.rebuild.rebuild_if_lost()
    assert await house.services.announce.delayed() == 1


async def test_a_lost_nudge_is_announced_again(house: House, hands: Hands, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(house.services.outbox, "place", lambda place: None)
    monkeypatch.setattr(announce, "YOUNGEST_SECONDS", 0.1)
    task_id = (await house.submit()).task.id
    await house.told()
    assert await hands.claim() == []

    async def comes() -> bool:
        await house.services.announce.young()
        return await hands.claim() == [task_id]

    await eventually(comes)


async def test_the_heads_of_all_lanes_are_announced_whatever_their_age(
    house: House, hands: Hands, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(house.services.outbox, "place", lambda place: None)
    task_id = (await house.submit()).task.id
    delayed_id = (await house.submit(delay=1.0)).task.id
    await house.services.announce.heads()
    assert await hands.claim(5) == [task_id]
    await house.services.announce.delayed()
    assert await hands.claim_within(5) == [delayed_id]
    assert (await house.ledger.tasks.get(task_id, TENANT)) is not None


async def test_what_becomes_due_during_a_rebuild_is_brought(
    house: House, hands: Hands, monkeypatch: pytest.MonkeyPatch
) -> None:
    delayed = (await house.submit(delay=0.5)).task.id
    await house.told()
    await flush(house)
    write_marker = house.plane.write_marker

    async def write_it_late() -> None:
        async def is_due() -> bool:
            return await house.ledger.tasks.announceable(0, 60, 1) != []

        await eventually(is_due)
        await write_marker()

    monkeypatch.setattr(house.plane, "write_marker", write_it_late)
    await house.services.rebuild.rebuild_if_lost()
    assert await hands.claim(5) == [delayed]


async def test_lanes_that_nobody_works_off_do_not_hide_the_others(
    house: House, hands: Hands, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(house.services.outbox, "place", lambda place: None)
    monkeypatch.setattr(announce, "LANES_A_TURN", 2)
    sent = [(await house.submit(tenant=f"tenant{n}")).task.id for n in range(5)]
    await house.told()
    announced = [await house.services.announce.heads() for _ in range(4)]
    assert announced == [2, 2, 1, 2]
    assert await hands.claim(10) == sent


async def test_events_whose_answer_was_lost_are_not_written_twice(
    house: House, monkeypatch: pytest.MonkeyPatch
) -> None:
    append = house.plane.append
    answers_to_lose = 2

    async def lose_answers(appends: list[Append], repeatable: Numbered | None = None) -> list[int]:
        nonlocal answers_to_lose
        numbers = await append(appends, repeatable)
        if answers_to_lose:
            answers_to_lose -= 1
            house.services.outbox.tell(events.build("task_x", 1, "agent.event", n="said meanwhile"))
            raise PlaneAway("the answer was lost")
        return numbers

    monkeypatch.setattr(house.plane, "append", lose_answers)
    for event in (
        events.queued("task_x", 0, "q"),
        events.build("task_x", 1, "task.started"),
        events.build("task_x", 1, "agent.event", n=1),
        events.build("task_x", 1, "agent.event", n=2),
    ):
        house.services.outbox.tell(event)
    await house.services.outbox.delivered()
    written = [event.type for event in (await house.plane.read("task_x")).events]
    assert written == ["task.queued", "task.started", *["agent.event"] * 4]
