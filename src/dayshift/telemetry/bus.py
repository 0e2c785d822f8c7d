"""The bus between rooms that say what happened and subscribers that make log lines and metrics of it.

`emit` runs on the hot path of every task: it looks the event's class up and calls its subscribers, nothing more. It
never raises: telemetry that fails must not fail the work. A subscriber must be quick and must not block.
"""

import sys
import threading
from collections.abc import Callable
from typing import Any, TypeVar

from dayshift.domain.events import Event

E = TypeVar("E", bound=Event)
Handler = Callable[[Any], object]

_handlers_by_class: dict[type[Event], tuple[Handler, ...]] = {}
_changing = threading.Lock()
_failures_by_handler: dict[str, int] = {}


def emit(event: Event) -> None:
    """Tell all subscribers. Synchronous, cheap, never raises; without a subscriber nothing happens."""
    for handler in _handlers_by_class.get(type(event), ()):
        try:
            handler(event)
        except Exception as error:  # noqa: BLE001 - a broken subscriber must not break the work it observes
            _report_failure(handler, event, error)


def subscribe(event_class: type[E], handler: Callable[[E], object]) -> Callable[[], None]:
    """Call `handler` with every event of exactly that class. Returns a function that ends the subscription."""
    with _changing:
        _handlers_by_class[event_class] = (*_handlers_by_class.get(event_class, ()), handler)

    def unsubscribe() -> None:
        with _changing:
            remaining = tuple(h for h in _handlers_by_class.get(event_class, ()) if h is not handler)
            _handlers_by_class[event_class] = remaining

    return unsubscribe


def subscribe_all(handler: Callable[[Event], object]) -> Callable[[], None]:
    """Call `handler` with every event of every class that exists now; for tests and for tools."""
    ends = [subscribe(event_class, handler) for event_class in event_classes()]

    def unsubscribe() -> None:
        for end in ends:
            end()

    return unsubscribe


def event_classes() -> list[type[Event]]:
    """Every class of domain event, in the order of their definition."""
    return list(Event.__subclasses__())


def _report_failure(handler: Handler, event: Event, error: Exception) -> None:
    """Say the first failure of each subscriber on stderr, and stay silent about its next ones."""
    name = getattr(handler, "__qualname__", repr(handler))
    count = _failures_by_handler[name] = _failures_by_handler.get(name, 0) + 1
    if count == 1:
        sys.stderr.write(f"dayshift telemetry: {name} failed on {type(event).__name__}: {error!r}\n")
