"""How long a provider wants to be left alone, by its headers or, if those say nothing, by the words of its refusal.

What is told is believed up to a bound: a header may say a year, and one call that is refused every few minutes costs less
than a model that nobody asks any more.
"""

import math
import re
from collections.abc import Mapping
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime

from dayshift.domain import clock

LONGEST_SECONDS = 300.0
_WORDS_READ = 2_000  # characters; a proxy may say a whole page

_TOLD_IN_WORDS = re.compile(
    r"(?:try again in|retry after) ((?:\d+(?:\.\d+)?\s*(?:ms|s|m|h|seconds?|minutes?)\s*)+)", re.IGNORECASE
)
_PIECE = re.compile(r"(\d+(?:\.\d+)?)\s*(ms|h|m|s)", re.IGNORECASE)
_SECONDS = {"ms": 0.001, "s": 1.0, "m": 60.0, "h": 3600.0}


def wait_told(headers: Mapping[str, str], words: str = "") -> float | None:
    """Seconds, at most LONGEST_SECONDS; None when nothing was said that can be read. Names of headers are in lower case,
    or `headers` knows no case.
    """
    found = _in_ms(headers.get("retry-after-ms"))
    if found is None:
        found = _in_seconds(headers.get("retry-after"), headers.get("date"))
    if found is None:
        found = _in_words(words)
    return None if found is None else min(max(found, 0.0), LONGEST_SECONDS)


def _in_ms(text: str | None) -> float | None:
    number = _number(text)
    return None if number is None else number / 1000


def _in_seconds(text: str | None, date: str | None) -> float | None:
    """A number, or a date: counted from the provider's own clock if it shows one, since ours may be another."""
    number = _number(text)
    if number is not None or text is None:
        return number
    until, sent = _date(text), _date(date or "")
    return None if until is None else (until - (sent or clock.now())).total_seconds()


def _number(text: str | None) -> float | None:
    try:
        number = float(text) if text is not None else None
    except ValueError:
        return None
    return None if number is None or math.isnan(number) or number < 0 else number


def _date(text: str) -> datetime | None:
    try:
        found = parsedate_to_datetime(text)
    except (ValueError, TypeError, OverflowError):
        return None
    return found if found.tzinfo is not None else found.replace(tzinfo=UTC)


def _in_words(words: str) -> float | None:
    told = _TOLD_IN_WORDS.search(words[:_WORDS_READ])
    if told is None:
        return None
    return sum(float(number) * _SECONDS[unit.lower()] for number, unit in _PIECE.findall(told.group(1)))
