"""A child whose wall clock is wrong, as on a host whose time service has failed.

Python imports `sitecustomize` from PYTHONPATH before any program of ours; this one moves the readings of the wall clock
that dayshift can make: `time.time`, and `domain.clock.machine_now`, the only place that asks for a date. Monotonic clocks are left
alone: no host's monotonic clock jumps.
"""

import os
from collections.abc import Mapping
from pathlib import Path

_OFFSET = "FAULTS_CLOCK_OFFSET_SECONDS"

_SITECUSTOMIZE = f"""
import os
import time
from datetime import UTC, datetime, timedelta

offset_seconds = float(os.environ["{_OFFSET}"])
true_time, true_time_ns = time.time, time.time_ns
time.time = lambda: true_time() + offset_seconds
time.time_ns = lambda: true_time_ns() + int(offset_seconds * 1_000_000_000)

from dayshift.domain import clock

clock.machine_now = lambda: datetime.now(UTC) + timedelta(seconds=offset_seconds)
"""


def clock_off_by(seconds: float, folder: Path, environment: Mapping[str, str]) -> dict[str, str]:
    """The environment for a child whose wall clock is `seconds` ahead (or, negative, behind). Writes into `folder`."""
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "sitecustomize.py").write_text(_SITECUSTOMIZE)
    path = os.pathsep.join(filter(None, [str(folder), environment.get("PYTHONPATH", "")]))
    return {**environment, "PYTHONPATH": path, _OFFSET: str(seconds)}
