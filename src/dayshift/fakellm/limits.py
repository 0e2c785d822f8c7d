"""What a key may use: the limits as they are written down, and the accounts that enforce them.

How a call is counted, and how much of that is the providers' own word:

- OpenAI: the prompt and max_tokens count when the call comes in. Its guide "Rate limits" names the headers; that max_tokens counts
  is told in its forum (community.openai.com/t/360359) and by its 429s ("Limit L, Used U, Requested R"). What it assumes for a call
  that names no max_tokens, and that it settles with the usage at the end, are decisions of this file.
- Anthropic: the prompt counts when the call comes in, the output once the answer is out; a call needs an output bucket that is not
  empty. An edition of its page that we could read (docs.anthropic.com/es/api/rate-limits) says otherwise: max_tokens is
  reserved and settled at the end. Set `reserves_output` to count so.

How deep the real buckets are we found documented by neither; a minute's worth is the default, `burst_seconds` sets it.
"""

import time
from pathlib import Path
from typing import Any, Literal

import msgspec

from dayshift.fakellm.buckets import Bucket

Kind = Literal["requests", "tokens", "input_tokens", "output_tokens"]
KINDS: tuple[Kind, ...] = ("requests", "tokens", "input_tokens", "output_tokens")
RefusalKind = Literal["requests", "tokens", "too_large", "concurrent", "quota"]
ESTIMATED_OUTPUT_TOKENS = 16


class LimitsError(Exception):
    """The limits cannot be used; the message says where and why."""


class Limit(msgspec.Struct, forbid_unknown_fields=True, frozen=True):
    """What one account may use; a field left out is no limit. `quota_tokens` is what was paid for: beyond it nothing is served."""

    requests_per_minute: float | None = None
    tokens_per_minute: float | None = None
    input_tokens_per_minute: float | None = None
    output_tokens_per_minute: float | None = None
    concurrent: int | None = None
    quota_tokens: int | None = None
    burst_seconds: float = 60.0
    reserves_output: bool | None = None
    """Whether max_tokens counts at admission; None is as the format's provider does."""

    def per_minute(self, kind: Kind) -> float | None:
        """The limit of one kind."""
        value: float | None = getattr(self, f"{kind}_per_minute")
        return value


class KeyLimit(Limit, forbid_unknown_fields=True, frozen=True):
    """A key's limit, shared by all its models but those that are named: they have one of their own."""

    models: dict[str, Limit] = {}


class Limits(msgspec.Struct, forbid_unknown_fields=True, frozen=True):
    """All limits: of the keys that are named, and of each other key."""

    default: KeyLimit = KeyLimit()
    keys: dict[str, KeyLimit] = {}


class Refusal(msgspec.Struct, frozen=True):
    """Why a call is not served: the limit that says no, and when it would not."""

    kind: RefusalKind
    bucket: Kind = "requests"
    limit: float = 0
    used: float = 0
    requested: float = 0
    wait_seconds: float | None = None


class Account:
    """The buckets of a key, or of one model of it that has a limit of its own."""

    def __init__(self, key: str, limit: Limit, now: float) -> None:
        self.key = key
        self.limit = limit
        self.open = 0
        self.used_tokens = 0
        self.buckets: dict[Kind, Bucket] = {
            kind: Bucket(value, max(1.0, value * limit.burst_seconds / 60), now)
            for kind in KINDS
            if (value := limit.per_minute(kind)) is not None
        }

    def admit(self, amounts: dict[Kind, int], now: float) -> Refusal | None:
        """Take all of it, or nothing and say why."""
        refusal = self._refusal(amounts, now)
        if refusal is None:
            self.open += 1
            for kind, bucket in self.buckets.items():
                bucket.take(amounts[kind], now)
        return refusal

    def take(self, amounts: dict[Kind, int], now: float) -> None:
        """Count it; negative amounts give back."""
        for kind, bucket in self.buckets.items():
            bucket.take(amounts[kind], now)

    def _refusal(self, amounts: dict[Kind, int], now: float) -> Refusal | None:
        limit = self.limit
        if limit.quota_tokens is not None and self.used_tokens >= limit.quota_tokens:
            return Refusal("quota")
        if limit.concurrent is not None and self.open >= limit.concurrent:
            return Refusal("concurrent", limit=limit.concurrent, used=self.open, requested=1)
        longest: Refusal | None = None
        for kind, bucket in self.buckets.items():
            amount = amounts[kind]
            used = bucket.depth - bucket.balance(now)
            if kind != "requests" and amount > max(bucket.per_minute, bucket.depth):
                return Refusal("too_large", kind, bucket.per_minute, used, amount)
            # Output that is not counted ahead still needs a bucket that is not empty.
            wait = bucket.wait_seconds(amount or 1, now)
            if wait > 0 and (longest is None or wait > (longest.wait_seconds or 0)):
                refused: RefusalKind = "requests" if kind == "requests" else "tokens"
                longest = Refusal(refused, kind, bucket.per_minute, used, amount, wait)
        return longest


class Accounts:
    """Every account there is, made when its key first calls."""

    def __init__(self, limits: Limits) -> None:
        self.limits = limits
        self._accounts: dict[tuple[str, str | None], Account] = {}

    def of(self, key: str, model: str) -> Account:
        """Who pays for a call."""
        limit = self.limits.keys.get(key, self.limits.default)
        own = limit.models.get(model)
        name = (key, model if own is not None else None)
        account = self._accounts.get(name)
        if account is None:
            account = self._accounts[name] = Account(key, own or limit, time.monotonic())
        return account


def read_limits(written: Any) -> Limits:
    """Limits of parsed JSON; nothing is used of what has a mistake."""
    try:
        limits = msgspec.convert(written, Limits)
    except msgspec.ValidationError as problem:
        raise LimitsError(str(problem)) from problem
    named = {f"keys.{key}": limit for key, limit in limits.keys.items()} | {"default": limits.default}
    for at, limit in named.items():
        _check(at, limit)
        for model, own in limit.models.items():
            _check(f"{at}.models.{model}", own)
    return limits


def load_limits(path: Path) -> Limits:
    """Limits from a `.json` file."""
    try:
        return read_limits(msgspec.json.decode(path.read_bytes()))
    except OSError as problem:
        raise LimitsError(f"cannot read {path}: {problem.strerror}") from problem
    except (UnicodeDecodeError, msgspec.DecodeError) as problem:
        raise LimitsError(f"{path} is not JSON: {problem}") from problem


def _check(at: str, limit: Limit) -> None:
    for name in ("concurrent", "burst_seconds", *(f"{kind}_per_minute" for kind in KINDS)):
        value = getattr(limit, name)
        if value is not None and not value > 0:
            raise LimitsError(f"{at}.{name}: {value} must be above 0")
