"""Values that may differ whenever they are asked for, and that a later attempt is given as they were: time, chance, identity,
and what a person may set at any time.
"""

import random
import uuid
from collections.abc import Callable
from datetime import datetime
from typing import Any, TypeVar

import msgspec

from dayshift.agents.effects import Effects, scope
from dayshift.agents.values import encode_value
from dayshift.domain import clock
from dayshift.domain.effect import EffectKind
from dayshift.journal import call_of

Value = TypeVar("Value")


def draw_now(effects: Effects) -> datetime:
    """The time, aware, in UTC."""
    return _draw(effects, "now", datetime, clock.now)


def draw_random(effects: Effects) -> float:
    """A number from 0 up to 1, 1 excluded."""
    return _draw(effects, "random", float, random.random)


def draw_uuid(effects: Effects) -> uuid.UUID:
    """A random UUID (version 4)."""
    return _draw(effects, "uuid", uuid.UUID, uuid.uuid4)


def draw_flag(effects: Effects, name: str, read: Callable[[], Any]) -> Any:
    """A feature flag, as it is set now."""
    return _draw(effects, f"flag {name}", Any, read)


def _draw(effects: Effects, name: str, kind: Any, draw: Callable[[], Value]) -> Value:
    call = call_of(EffectKind.VALUE, name, b"", scope=scope.get())
    value: Value = msgspec.json.decode(effects.draw(call, lambda: encode_value(draw())), type=kind)
    return value
