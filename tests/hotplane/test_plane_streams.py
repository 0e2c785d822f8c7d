"""Live events: numbers, refusals, resuming, and the push that comes with them."""

from dayshift.domain.stream import Append
from dayshift.hotplane import Numbered, channels, keys
from dayshift.hotplane.channels import EventNotice, event_of, task_id_of


def event(task_id, attempt, kind, data=b"{}"):
    return Append(task_id, attempt, kind, data)


async def test_events_are_numbered_by_the_clock_and_read_from_anywhere(plane):
    before = await plane.now_us()
    numbers = await plane.append(
        [
            event("task_1", 0, "task.queued"),
            event("task_1", 1, "task.started"),
            event("task_1", 1, "agent.event", b"{1}"),
        ]
    )
    assert numbers == sorted(set(numbers))
    assert before <= numbers[0]
    page = await plane.read("task_1")
    assert [(e.number, e.type, e.data) for e in page.events] == list(
        zip(numbers, ["task.queued", "task.started", "agent.event"], [b"{}", b"{}", b"{1}"], strict=True)
    )
    assert page.starts_at_beginning
    assert [e.number for e in (await plane.read("task_1", after=numbers[0], limit=1)).events] == numbers[1:2]
    assert (await plane.read("task_1", after=numbers[2])).events == []
    assert not (await plane.read("task_unknown")).starts_at_beginning


async def test_a_lower_attempt_and_a_repetition_are_refused(plane):
    assert (await plane.append([event("t", 2, "task.started")]))[0]
    assert await plane.append([event("t", 1, "agent.event"), event("t", 2, "task.started")]) == [0, 0]
    done = event("t", 2, "task.succeeded")
    assert (await plane.append([done]))[0]
    assert await plane.append([done, event("t", 2, "agent.event"), event("t", 1, "task.failed")]) == [0, 0, 0]
    assert (await plane.append([event("t", 2, "task.queued")]))[0]
    assert (await plane.append([event("t", 3, "agent.event")]))[0]


async def types_in(plane, task_id="t"):
    return [e.type for e in (await plane.read(task_id)).events]


async def test_a_repeated_delivery_appends_nothing_twice(plane):
    life = [
        event("t", 0, "task.queued"),
        event("t", 1, "task.started"),
        event("t", 1, "agent.event"),
        event("t", 1, "task.succeeded"),
    ]
    assert all(await plane.append(life, Numbered("outbox", [1, 2, 3, 4])))
    assert await plane.append(life, Numbered("outbox", [1, 2, 3, 4])) == [0, 0, 0, 0]
    again = [*life[1:], event("t", 1, "task.queued")]
    assert [bool(n) for n in await plane.append(again, Numbered("outbox", [2, 3, 4, 5]))] == [False, False, False, True]
    assert await plane.append(life[:1], Numbered("outbox", [1])) == [0], "an older delivery arrives behind a newer one"
    assert await types_in(plane) == [e.type for e in (*life, life[0])]


async def test_writers_are_told_apart_and_a_lost_plane_forgets_them(plane):
    assert all(await plane.append([event("t", 0, "task.queued")], Numbered("one", [7])))
    assert all(await plane.append([event("t", 1, "task.started")], Numbered("other", [1])))
    await plane._wire.ask(b"FLUSHDB")
    assert all(await plane.append([event("t", 0, "task.queued")], Numbered("one", [7])))
    assert int(await plane._wire.ask(b"TTL", keys.TOLD + "one")) > 0


async def test_what_belongs_to_a_run_is_refused_behind_its_final_event(plane):
    await plane.append([event("t", 1, "task.failed")])
    for kind in ("task.started", "task.waiting", "task.retrying", "agent.event"):
        assert await plane.append([event("t", 1, kind)]) == [0]
    assert all(await plane.append([event("t", 1, "task.queued"), event("t", 2, "task.started")]))


async def test_a_stream_that_was_lost_goes_on_with_higher_numbers_and_says_so(plane):
    [first] = await plane.append([event("t", 0, "task.queued")])
    await plane.forget("t")
    [second] = await plane.append([event("t", 1, "task.started")])
    assert second > first
    assert not (await plane.read("t", after=first)).starts_at_beginning


async def test_an_event_is_pushed_whole_unless_it_is_large(plane):
    sub = plane.subscriber()
    await sub.add(channels.task("t"))
    large = b"x" * 70_000
    numbers = await plane.append([event("t", 0, "task.queued", b"{|}"), event("t", 0, "task.failed", large)])
    messages = aiter(sub)
    channel, payload = await anext(messages)
    assert task_id_of(channel) == "t"
    assert task_id_of(channels.ALL) is None
    assert event_of(payload) == EventNotice(numbers[0], "task.queued", b"{|}")
    assert event_of((await anext(messages))[1]) == EventNotice(numbers[1], "task.failed", None)
    await sub.close()


async def test_a_stream_lives_as_long_as_its_task_and_the_setting_say(plane):
    async def lives():
        return int(await plane._wire.ask(b"TTL", keys.stream("t")))

    await plane.append([event("t", 0, "task.queued")])
    assert 6 * 86_400 < await lives() <= 7 * 86_400
    plane.finished_seconds = 60
    await plane.append([event("t", 0, "task.cancelled")])
    assert 0 < await lives() <= 60
    await plane.append([event("t", 1, "task.queued")])  # a person retries the dead letter
    assert 6 * 86_400 < await lives() <= 7 * 86_400
    await plane.expire("t", 5)
    assert 0 < await lives() <= 5


async def test_a_stream_that_goes_on_for_long_lives_on(plane):
    long_ago = await plane.now_us() - 2 * 3_600_000_000
    fields = (b"attempt", 1, b"type", b"task.started", b"data", b"{}")
    await plane._wire.ask(b"XADD", keys.stream("t"), f"{long_ago}-0", *fields)
    await plane.expire("t", 5)
    await plane.append([event("t", 1, "agent.event")])
    assert int(await plane._wire.ask(b"TTL", keys.stream("t"))) > 6 * 86_400


async def test_a_stream_is_bounded(plane):
    for _ in range(11):
        await plane.append([event("t", 0, "agent.event", str(number).encode()) for number in range(1_000)])
    assert int(await plane._wire.ask(b"XLEN", keys.stream("t"))) < 10_500


async def test_finished_streams_are_bounded_and_the_oldest_go_first(plane):
    plane.max_finished = 10
    for number in range(25):
        await plane.append([event(f"t{number}", 0, "task.queued"), event(f"t{number}", 1, "task.succeeded")])
    kept = [number for number in range(25) if await types_in(plane, f"t{number}")]
    assert kept == list(range(kept[0], 25))
    assert 9 <= len(kept) <= 10
    plane.max_finished = 4  # a lowered bound is reached as others finish
    for number in range(25, 40):
        await plane.append([event(f"t{number}", 1, "task.failed")])
    assert [number for number in range(40) if await types_in(plane, f"t{number}")] in ([36, 37, 38, 39], [37, 38, 39])


async def test_a_stream_that_goes_on_is_no_finished_one(plane):
    plane.max_finished = 2
    await plane.append([event("retried", 1, "task.failed"), event("retried", 1, "task.queued")])
    for number in range(5):
        await plane.append([event(f"t{number}", 1, "task.succeeded")])
    assert await types_in(plane, "retried") == ["task.failed", "task.queued"]
