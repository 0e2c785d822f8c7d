import msgspec
import pytest

from dayshift.domain.events import Event, Fault, SettingsChanged
from dayshift.domain.settings import Settings
from dayshift.ledger import Ledger
from dayshift.settings import LiveSettings, SettingsStore
from dayshift.telemetry import subscribe


async def test_a_newer_version_swaps_the_snapshot_and_calls_back(ledger: Ledger):
    store, live = SettingsStore(ledger), LiveSettings(ledger)
    seen: list[Settings] = []
    events: list[Event] = []

    async def note(settings: Settings) -> None:
        seen.append(settings)

    live.on_change(note)
    end = subscribe(SettingsChanged, events.append)
    assert live.current == Settings()
    await live.load()
    held = live.current
    await store.put("queues.default.paused", value=True, by="ann")
    version = (await ledger.poll()).settings_version
    await live.refresh_if(version)
    await live.refresh_if(version)
    end()
    assert live.current.queue("default").paused
    assert not held.queue("default").paused  # a reader's snapshot does not change in its hands
    assert [settings.queue("default").paused for settings in seen] == [False, True]
    assert events == [SettingsChanged(version=1, path="queues.default.paused", by="ann")]


async def test_a_listener_that_fails_does_not_keep_the_others(ledger: Ledger):
    live = LiveSettings(ledger)
    seen: list[Settings] = []
    faults: list[Event] = []

    def broken(_settings: Settings) -> None:
        raise RuntimeError("cannot apply")

    live.on_change(broken)
    live.on_change(seen.append)
    end = subscribe(Fault, faults.append)
    await live.load()
    end()
    assert len(seen) == 1
    assert [(fault.where, fault.message) for fault in faults] == [("settings.on_change", "cannot apply")]


@pytest.mark.parametrize("strange", ["providers.openai", "queues.a.burst", "tenants.a.weight"])
async def test_settings_of_a_newer_release_are_left_out_and_told(ledger: Ledger, strange: str):
    await SettingsStore(ledger).put("queues.a.paused", value=True, by="ann")
    await ledger.settings.write(strange, msgspec.json.encode({"new": "kind"}), by="newer")
    live = LiveSettings(ledger)
    faults: list[Event] = []
    end = subscribe(Fault, faults.append)
    await live.load()
    end()
    assert live.current.queue("a").paused
    assert len(faults) == 1
    assert strange.split(".", maxsplit=1)[0] in faults[0].message
