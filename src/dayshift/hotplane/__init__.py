"""The hot plane: queue order, leases, streams and wake-ups in Valkey (or Redis from 7.0). Everything in it may be lost.

Read in this order: `plane.py` (the whole interface), `shapes.py`, `keys.py` (what is stored), `scripts/_queue.lua` (whose
turn it is), `scripts/_cold.lua` (long backlogs), `leases.py`, `epochs.py`, `streams.py`, `subscription.py`, `connection.py`.
"""

from dayshift.hotplane import channels
from dayshift.hotplane.breakers import (
    BreakerName,
    BreakerReport,
    BreakerSeen,
    BreakerState,
    BreakerWord,
    ProbeOutcome,
    breaker_pushed,
)
from dayshift.hotplane.digest import digest
from dayshift.hotplane.plane import Plane
from dayshift.hotplane.rates import RateAnswer, RateLeft, RateWindow
from dayshift.hotplane.retries import RetryAsk, RetryRule
from dayshift.hotplane.shapes import (
    Ack,
    BeatReply,
    Claim,
    Enqueued,
    Lane,
    Numbered,
    PlaneState,
    Reconciled,
    StreamPage,
)
from dayshift.hotplane.state import HotBound
from dayshift.hotplane.subscription import RECONNECTED, Subscription

__all__ = [
    "RECONNECTED",
    "Ack",
    "BeatReply",
    "BreakerName",
    "BreakerReport",
    "BreakerSeen",
    "BreakerState",
    "BreakerWord",
    "Claim",
    "Enqueued",
    "HotBound",
    "Lane",
    "Numbered",
    "Plane",
    "PlaneState",
    "ProbeOutcome",
    "RateAnswer",
    "RateLeft",
    "RateWindow",
    "Reconciled",
    "RetryAsk",
    "RetryRule",
    "StreamPage",
    "Subscription",
    "breaker_pushed",
    "channels",
    "digest",
]
