"""The key space, the digest, and what every script must say about itself."""

import random
from importlib.resources import files

import crowd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from dayshift.hotplane import digest, keys
from dayshift.hotplane.scripts import SCRIPTS


@given(st.text())
def test_escaped_names_hold_no_separator_and_come_back(name):
    assert ":" not in keys.escaped(name)
    assert keys.unescaped(keys.escaped(name)) == name


def test_a_key_tells_its_epoch():
    assert keys.epoch_of(keys.state_root(17) + "task:x") == 17
    for other in (keys.MARKER, keys.lease("w"), keys.stream("t"), keys.PREFIX + "E:x", keys.PREFIX + "Else:x"):
        assert keys.epoch_of(other) is None


def test_the_digest_knows_no_order_and_notices_every_difference():
    ids = [place.id for place in crowd.places(200)]
    shuffled = random.sample(ids, len(ids))
    assert digest(ids) == digest(shuffled) < 1 << 52
    assert digest(ids) != digest(ids[1:])
    assert digest([]) == 0


@pytest.mark.parametrize("name", sorted(SCRIPTS))
def test_every_script_says_what_it_takes_and_promises(name):
    source = (files("dayshift.hotplane.scripts") / f"{name}.lua").read_text()
    header = source[: source.index("\n\n")]
    for word in ("-- KEYS ", "-- ARGV ", "-- Promise:"):
        assert word in header


def test_no_script_spells_a_key():
    for name, script in SCRIPTS.items():
        body = script.text.decode().removeprefix(keys.lua_table())
        assert "{0}" not in body, name


async def test_a_later_epoch_is_not_dropped(plane):
    plane.epoch = 3
    await plane.enqueue(crowd.places(1), rebuilding=True)
    plane.epoch = 2
    await plane.write_marker()
    assert await plane.drop_old_epochs() == 0
    plane.epoch = 3
    await plane.write_marker()
    assert len(await crowd.claim(plane, crowd.worker(), 2)) == 1
