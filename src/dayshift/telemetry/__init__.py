"""Telemetry: rooms emit domain events (`emit`); subscribers turn them into log lines and metrics.

`bound(task_id=..., attempt=...)` puts ids on every line written inside the block, an author's own lines included.
`setup(config, process_kind)` starts log and metrics of this process; `shut_down()` writes what is left; `render_metrics()`
adds up what all processes of the machine counted.
"""

from dayshift.telemetry.bus import emit, event_classes, subscribe, subscribe_all
from dayshift.telemetry.context import bound, bound_ids
from dayshift.telemetry.process import TelemetryConfig, render_metrics, setup, shut_down

__all__ = [
    "TelemetryConfig",
    "bound",
    "bound_ids",
    "emit",
    "event_classes",
    "render_metrics",
    "setup",
    "shut_down",
    "subscribe",
    "subscribe_all",
]
