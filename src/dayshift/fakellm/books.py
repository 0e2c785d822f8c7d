"""The provider's own books: what it served, by the second, for each key and model.

A call is booked once it is answered, in the second it was admitted in (where its limit counted it); Anthropic's output in the second it was
out. A booking is one look into two dictionaries and a few additions; all sums are made when somebody asks.
"""

import time
from typing import Any

import msgspec

from dayshift.fakellm.limits import KINDS, Account

COLUMNS = (
    "requests",
    "input_tokens",
    "output_tokens",
    "refused_requests",
    "refused_tokens",
    "refused_too_large",
    "refused_concurrent",
    "refused_quota",
    "errors",
    "aborted",
)
_COLUMN = {name: at for at, name in enumerate(COLUMNS)}
_BY_SECOND = dict[int, list[int]]


class Page(msgspec.Struct):
    """One model of an account, by the second."""

    account: Account
    model: str
    seconds: _BY_SECOND = {}


class Books:
    """All pages since the start or the last reset."""

    def __init__(self) -> None:
        self.started = time.monotonic()
        self._pages: dict[tuple[int, str], Page] = {}

    def add(self, account: Account, model: str, now: float, **counts: int) -> None:
        """Book counts of the named columns at a moment of the monotonic clock."""
        row = self._row(account, model, now)
        for name, count in counts.items():
            row[_COLUMN[name]] += count

    def add_served(
        self,
        account: Account,
        model: str,
        now: float,
        *,
        requests: int = 0,
        input_tokens: int = 0,
        output_tokens: int = 0,
    ) -> None:
        """The same for what every call books, without a look for its columns."""
        row = self._row(account, model, now)
        row[0] += requests
        row[1] += input_tokens
        row[2] += output_tokens

    def _row(self, account: Account, model: str, now: float) -> list[int]:
        page = self._pages.get((id(account), model))
        if page is None:
            page = self._pages[id(account), model] = Page(account, model)
        second = int(now - self.started)
        row = page.seconds.get(second)
        if row is None:
            row = page.seconds[second] = [0] * len(COLUMNS)
        return row

    def report(self, from_second: int = 0, to_second: int | None = None) -> dict[str, Any]:
        """Everything, with the sums and the use of each limit from one second to before another."""
        age = time.monotonic() - self.started
        end = to_second if to_second is not None else max(from_second + 1, int(age) + 1)
        by_account: dict[int, list[Page]] = {}
        for page in self._pages.values():
            by_account.setdefault(id(page.account), []).append(page)
        return {
            "age_seconds": round(age, 3),
            "from": from_second,
            "to": end,
            "accounts": [_describe(pages, from_second, end) for pages in by_account.values()],
        }


def _describe(pages: list[Page], start: int, end: int) -> dict[str, Any]:
    account = pages[0].account
    merged = _merge(pages)
    sums = _sum(merged, start, end)
    use: dict[str, float] = {}
    for kind in KINDS:
        limit = account.limit.per_minute(kind)
        if limit is not None:
            use[kind] = round(100 * sums[kind] / (limit * (end - start) / 60), 3)
    return {
        "key": account.key,
        "limit": {kind: account.limit.per_minute(kind) for kind in KINDS},
        "models": {page.model: _sum(page.seconds, start, end) for page in pages},
        "sum": sums,
        "use_percent": use,
        "highest_minute": _highest_minute(merged),
        "minutes": [
            {"minute": minute, **_sum(merged, minute * 60, minute * 60 + 60)}
            for minute in sorted({second // 60 for second in merged})
        ],
    }


def _merge(pages: list[Page]) -> _BY_SECOND:
    merged: _BY_SECOND = {}
    for page in pages:
        for second, row in page.seconds.items():
            so_far = merged.get(second)
            merged[second] = row if so_far is None else [a + b for a, b in zip(so_far, row, strict=True)]
    return merged


def _sum(seconds: _BY_SECOND, start: int, end: int) -> dict[str, int]:
    rows = [row for second, row in seconds.items() if start <= second < end]
    sums = [sum(column) for column in zip(*rows, strict=True)] if rows else [0] * len(COLUMNS)
    named = dict(zip(COLUMNS, sums, strict=True))
    return {**named, "tokens": named["input_tokens"] + named["output_tokens"]}


def _highest_minute(seconds: _BY_SECOND) -> dict[str, int]:
    """Of requests and tokens each: the most in any sixty seconds on end."""
    highest = dict.fromkeys(KINDS, 0)
    window = dict.fromkeys(KINDS, 0)
    times = sorted(seconds)
    oldest = 0
    for second in times:
        _shift(window, seconds[second], 1)
        while times[oldest] <= second - 60:
            _shift(window, seconds[times[oldest]], -1)
            oldest += 1
        for kind in KINDS:
            highest[kind] = max(highest[kind], window[kind])
    return {str(kind): count for kind, count in highest.items()}


def _shift(window: dict[Any, int], row: list[int], sign: int) -> None:
    window["requests"] += sign * row[0]
    window["input_tokens"] += sign * row[1]
    window["output_tokens"] += sign * row[2]
    window["tokens"] += sign * (row[1] + row[2])
