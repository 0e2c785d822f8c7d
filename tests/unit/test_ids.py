"""Ids rise within a process, and are what they say."""

import os
import uuid

from dayshift.domain import ids


def test_ids_made_in_a_row_rise() -> None:
    made = [ids.new(ids.TASK) for _ in range(20_000)]
    assert made == sorted(set(made))


def test_an_id_is_a_uuid7_behind_its_prefix() -> None:
    made = ids.new(ids.WORKER)
    assert ids.is_valid(ids.WORKER, made)
    assert not ids.is_valid(ids.TASK, made)
    parsed = uuid.UUID(made.removeprefix(ids.WORKER))
    assert (parsed.version, parsed.variant) == (7, uuid.RFC_4122)
    assert not ids.is_valid(ids.WORKER, made.upper())


def test_a_forked_child_makes_other_ids() -> None:
    ids.new(ids.TASK)
    reading, writing = os.pipe()
    child = os.fork()
    if child == 0:
        os.write(writing, ids.new(ids.TASK).encode())
        os._exit(0)
    os.waitpid(child, 0)
    of_child = os.read(reading, 100).decode()
    of_parent = ids.new(ids.TASK)
    assert ids.is_valid(ids.TASK, of_child)
    assert of_child[-16:] != of_parent[-16:]
