"""Where an account stands, in the headers of each provider; the forms are those of recorded answers."""

import math
from datetime import UTC, datetime, timedelta

from dayshift.fakellm.limits import Account, Kind, Refusal

ANTHROPIC_KINDS: tuple[Kind, ...] = ("requests", "tokens", "input_tokens", "output_tokens")


def openai_headers(account: Account, now: float) -> dict[str, str]:
    """`x-ratelimit-{limit,remaining,reset}-{requests,tokens}`; OpenAI has no words for input and output apart."""
    headers: dict[str, str] = {}
    for kind in ("requests", "tokens"):
        bucket = account.buckets.get(kind)
        if bucket is not None:
            headers[f"x-ratelimit-limit-{kind}"] = f"{bucket.per_minute:.0f}"
            headers[f"x-ratelimit-remaining-{kind}"] = str(max(0, math.floor(bucket.balance(now))))
            headers[f"x-ratelimit-reset-{kind}"] = go_duration(bucket.full_in_seconds(now))
    return headers


def anthropic_headers(account: Account, now: float) -> dict[str, str]:
    """`anthropic-ratelimit-{requests,tokens,input-tokens,output-tokens}-{limit,remaining,reset}`, resets as RFC 3339."""
    headers: dict[str, str] = {}
    for kind in ANTHROPIC_KINDS:
        bucket = account.buckets.get(kind)
        if bucket is not None:
            name = f"anthropic-ratelimit-{kind.replace('_', '-')}"
            headers[f"{name}-limit"] = f"{bucket.per_minute:.0f}"
            headers[f"{name}-remaining"] = str(max(0, math.floor(bucket.balance(now))))
            headers[f"{name}-reset"] = _rfc3339_in(bucket.full_in_seconds(now))
    return headers


def retry_headers(refusal: Refusal) -> dict[str, str]:
    """`retry-after` in whole seconds, rounded up, and `retry-after-ms`; none where waiting does not help."""
    if refusal.wait_seconds is None:
        return {}
    return {
        "retry-after": str(math.ceil(refusal.wait_seconds)),
        "retry-after-ms": str(math.ceil(refusal.wait_seconds * 1000)),
    }


def go_duration(seconds: float) -> str:
    """As OpenAI writes them: `0s`, `2ms`, `17.399s`, `1m0s`, `20m52.666s`."""
    ms = math.ceil(round(seconds * 1000, 3))
    if ms <= 0:
        return "0s"
    if ms < 1000:
        return f"{ms}ms"
    minutes, rest_ms = divmod(ms, 60_000)
    hours, minutes = divmod(minutes, 60)
    shown = f"{rest_ms / 1000:.3f}".rstrip("0").rstrip(".") + "s"
    if hours:
        return f"{hours}h{minutes}m{shown}"
    return f"{minutes}m{shown}" if minutes else shown


def _rfc3339_in(seconds: float) -> str:
    moment = datetime.now(UTC) + timedelta(seconds=math.ceil(seconds))
    return moment.strftime("%Y-%m-%dT%H:%M:%SZ")
