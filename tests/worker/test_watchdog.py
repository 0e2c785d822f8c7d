import asyncio
import time

from dayshift.domain.events import LoopBlocked, LoopLag
from dayshift.telemetry import subscribe
from dayshift.worker import watchdog
from dayshift.worker.watchdog import Watchdog


async def test_a_blocked_loop_is_reported_with_the_stack_that_blocks(monkeypatch):
    monkeypatch.setattr(watchdog, "BLOCKED_SECONDS", 0.2)
    monkeypatch.setattr(watchdog, "LAG_REPORT_SECONDS", 0.3)
    reports, lags, lag_seen = [], [], asyncio.Event()
    loop = asyncio.get_running_loop()

    def take_lag(event):
        lags.append(event)
        loop.call_soon_threadsafe(lag_seen.set)

    ends = [subscribe(LoopBlocked, reports.append), subscribe(LoopLag, take_lag)]
    dog = Watchdog()
    dog.start()

    def the_line_that_blocks():
        time.sleep(1.0)

    await asyncio.sleep(0)
    the_line_that_blocks()
    await asyncio.wait_for(lag_seen.wait(), 5)
    dog.stop()
    for end in ends:
        end()
    assert reports
    assert "the_line_that_blocks" in reports[0].stack
    assert reports[0].blocked_seconds >= 0.2
    assert max(event.lag_seconds for event in lags) >= 0.5
