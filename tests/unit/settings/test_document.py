"""Whatever is put and unset, in whatever order: the stored paths add up to what a plain nested dictionary would hold."""

from datetime import UTC, datetime
from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st

from dayshift.ledger import SettingsEntry, SettingsState
from dayshift.settings.document import (
    MISSING,
    Changes,
    changes_between,
    changes_to_put,
    changes_to_unset,
    document_of,
    value_at,
    with_value,
)

NAMES = st.sampled_from(["a", "b", "c.d"])
PATHS = st.lists(NAMES, min_size=1, max_size=3).map(tuple)
VALUES = st.recursive(st.integers(0, 3), lambda inner: st.dictionaries(NAMES, inner, max_size=2), max_leaves=4)
STEPS = st.lists(st.tuples(PATHS, VALUES | st.just(MISSING)), max_size=12)


def stored(state: SettingsState, changes: Changes) -> SettingsState:
    """What the ledger answers after these changes."""
    version = state.version + 1
    entries = dict(state.entries)
    for path, value in changes.items():
        entries.pop(path, None)
        if value is not None:
            entries[path] = SettingsEntry(
                version=version, path=path, value=value, by="me", why=None, at=datetime.now(UTC)
            )
    return SettingsState(version=version, entries=entries)


def _pruned(value: Any) -> Any:
    """An empty object and none at all mean the same settings."""
    if not isinstance(value, dict):
        return value
    inner = {name: _pruned(item) for name, item in value.items()}
    return {name: item for name, item in inner.items() if item != {}}


@given(STEPS)
@settings(deadline=None, max_examples=200)
def test_stored_paths_add_up_to_the_document(steps: list[tuple[tuple[str, ...], Any]]):
    state, model = SettingsState(version=0, entries={}), {}
    for path, value in steps:
        if value is MISSING:
            state = stored(state, changes_to_unset(state, path))
        else:
            state = stored(state, changes_to_put(state, path, value))
        model = with_value(model, path, value)
        assert _pruned(document_of(state)) == _pruned(model)
        if value is not MISSING:
            assert value_at(document_of(state), path) == value


@given(STEPS, STEPS)
@settings(deadline=None, max_examples=50)
def test_a_rollback_restores_every_stored_path(first: list[Any], second: list[Any]):
    def after(state: SettingsState, steps: list[Any]) -> SettingsState:
        for path, value in steps:
            build = changes_to_unset(state, path) if value is MISSING else changes_to_put(state, path, value)
            state = stored(state, build)
        return state

    then = after(SettingsState(version=0, entries={}), first)
    now = after(then, second)
    wanted = {path: entry.value for path, entry in then.entries.items() if entry.value is not None}
    assert document_of(stored(now, changes_between(now.entries, wanted))) == document_of(then)
