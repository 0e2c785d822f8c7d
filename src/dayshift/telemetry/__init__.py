"""Telemetry: rooms emit domain events (`emit`); subscribers turn them into log lines and metrics.

`bound(task_id=..., attempt=...)` puts ids on every line written inside the block, an author's own lines included.
"""

from dayshift.telemetry.bus import emit, event_classes, subscribe, subscribe_all
from dayshift.telemetry.context import bound, bound_ids

__all__ = ["bound", "bound_ids", "emit", "event_classes", "subscribe", "subscribe_all"]
