"""Whether the plane's keys agree with each other: what no single answer shows."""

from collections import Counter

from dayshift.domain.pins import agent_in
from dayshift.hotplane import Plane, digest, keys


async def audit(plane: Plane) -> None:
    """Assert every relation between the keys of the present epoch."""
    ask, root = plane._wire.ask, keys.state_root(plane.epoch)
    found: dict[str, list[str]] = {name: [] for name in keys.STATE_KEYS}
    cursor = b"0"
    while True:
        cursor, page = await ask(b"SCAN", cursor, "MATCH", root + "*", "COUNT", 1_000)
        for key in page:
            kind, colon, _ = key.decode().removeprefix(root).partition(":")
            found[kind].append(key.decode())
            assert bool(colon) == keys.STATE_KEYS[kind].endswith(":")
        if cursor == b"0":
            break

    async def members(key):
        return {member.decode() for member in await ask(b"ZRANGE", key, 0, -1)}

    async def elements(key):
        return {member.decode() for member in await ask(b"SMEMBERS", key)}

    async def fields(key):
        flat = [text.decode() for text in await ask(b"HGETALL", key)]
        return dict(zip(flat[::2], flat[1::2], strict=True))

    def name(kind, key):
        return key.removeprefix(root + keys.STATE_KEYS[kind])

    tasks = {name("task", key): await fields(key) for key in found["task"]}
    lanes = {name("lane", key): await members(key) for key in found["lane"]}
    by_state = {
        state: {i for i, task in tasks.items() if task["state"] == state} for state in ("ready", "delayed", "held")
    }
    assert sum(map(len, by_state.values())) == len(tasks)

    for lane, ids in lanes.items():
        for task_id in ids:
            task = tasks[task_id]
            assert (task["state"], f"{task['agent']}:{task['priority']}:{task['tenant']}") == ("ready", lane)
    assert set().union(*lanes.values()) == by_state["ready"]
    ready = Counter(lane.split(":")[0] for lane, ids in lanes.items() for _ in ids)
    assert {agent: int(number) for agent, number in (await fields(root + "ready")).items()} == dict(ready)

    delayed = [await members(key) for key in found["delayed"]]
    assert set().union(*delayed) == by_state["delayed"]

    policy = await fields(root + "policy")
    running = await fields(root + "running")
    aside = {(ring, name("aside", key)) for key in found["aside"] for ring in await elements(key)}
    in_ring = {(name("ring", key), tenant) for key in found["ring"] for tenant in await members(key)}
    assert not aside & in_ring
    assert aside | in_ring == {tuple(lane.rsplit(":", 1)) for lane in lanes}
    assert {tenant for _, tenant in aside} == await elements(root + "asides")
    for _, tenant in aside:
        cap = int(policy.get(f"c:{tenant}", policy.get("c:*", -1)))
        assert 0 <= cap <= int(running.get(f"t:{tenant}", 0))
    rings = {f"{name('rings', key)}:{priority}" for key in found["rings"] for priority in await members(key)}
    assert rings == {ring for ring, _ in in_ring}

    held = {name("held", key): await elements(key) for key in found["held"]}
    assert set().union(*held.values()) == by_state["held"]
    counted: Counter[str] = Counter()
    for worker, ids in held.items():
        noted = await fields(root + keys.STATE_KEYS["worker"] + worker)
        assert (int(noted["count"]), int(noted.get("digest", 0))) == (len(ids), digest(ids))
        for task_id in ids:
            assert tasks[task_id]["worker"] == worker
            counted.update((f"t:{tasks[task_id]['tenant']}", f"a:{agent_in(tasks[task_id]['agent'])}"))
    assert {who: int(number) for who, number in running.items()} == dict(counted)
