"""Why a call may not be made: with the numbers, when that changes, and what to do about it."""

from collections.abc import Sequence
from datetime import UTC, datetime

from dayshift.domain import clock
from dayshift.domain.budget import Spent, end_of, usd
from dayshift.domain.errors import BudgetSpent, WrongUse
from dayshift.hotplane.budgets import Amount, Line, NotHeld
from dayshift.llm.budgets.limits import Limit


def refusal(index: int, line: Line, amount: Amount, spent: Spent, held: Amount) -> NotHeld | None:
    """The plane's own rule, for when it is away."""
    ends = end_of(line.period, clock.now())
    ends_at = None if ends is None else int(ends.timestamp())
    if line.limit_nano_usd is not None and spent.nano_usd + held.nano_usd + amount.nano_usd > line.limit_nano_usd:
        is_busy = spent.nano_usd + amount.nano_usd <= line.limit_nano_usd
        return NotHeld(index, "usd", spent.nano_usd, held.nano_usd, ends_at, is_busy)
    if line.limit_tokens is not None and spent.tokens + held.tokens + amount.tokens > line.limit_tokens:
        is_busy = spent.tokens + amount.tokens <= line.limit_tokens
        return NotHeld(index, "tokens", spent.tokens, held.tokens, ends_at, is_busy)
    return None


def budget_spent(limit: Limit, answer: NotHeld, amount: Amount) -> BudgetSpent:
    """The error that a refusal is."""
    is_usd = answer.unit == "usd"
    allowed = limit.line.limit_nano_usd if is_usd else limit.line.limit_tokens
    assert allowed is not None, "a limit that is not there refuses nothing"
    resets_at = None if answer.ends_at is None else datetime.fromtimestamp(answer.ends_at, UTC)
    needed = amount.nano_usd if is_usd else amount.tokens
    numbers = [usd(one) if is_usd else float(one) for one in (allowed, answer.spent, answer.held, needed)]
    setting = limit.setting(answer.unit)
    return BudgetSpent(
        _sentence(setting, is_usd, numbers, resets_at),
        setting=setting,
        unit=answer.unit,
        allowed=numbers[0],
        spent=numbers[1],
        held=numbers[2],
        needed=numbers[3],
        resets_at=resets_at,
        retry_after_seconds=None if resets_at is None else max(1.0, (resets_at - clock.now()).total_seconds()),
        on_breach=limit.budget.on_breach,
    )


def refuse_unpriced(limits: Sequence[Limit], what: str) -> None:
    """Where dollars are counted, a call without a price would be one without a limit."""
    for limit in limits:
        if limit.line.limit_nano_usd is not None and limit.budget.unpriced == "fail":
            setting = limit.setting("usd")
            budget = setting.rpartition(".")[0]
            raise WrongUse(
                f"{setting} counts dollars, and nobody knows what {what} costs: set its price in "
                f'prices."PROVIDER/MODEL" (0 is a price), or {budget}.unpriced to "allow"',
                code="unpriced_model",
            )


def _sentence(setting: str, is_usd: bool, numbers: Sequence[float], resets_at: datetime | None) -> str:
    allowed, spent, held, needed = [_money(one) if is_usd else f"{one:,.0f} tokens" for one in numbers]
    under_way = f", {held} is held by calls under way" if numbers[2] else ""
    again = "it does not start anew" if resets_at is None else f"it starts anew at {resets_at:%Y-%m-%d %H:%M} UTC"
    if not numbers[3]:
        return f"{setting} allows {allowed}, and {spent} is spent{under_way}; {again}"
    return (
        f"{setting} allows {allowed}: {spent} is spent{under_way}, and this call may need {needed}; {again}. "
        "Raise it, or ask for less (a lower limit of output tokens, a cheaper model)"
    )


def _money(amount: float) -> str:
    """With as many digits as a small amount needs."""
    whole, _, parts = f"{amount:,.6f}".partition(".")
    return f"${whole}.{parts[:2]}" if amount >= 1 else f"${whole}.{parts.rstrip('0'):0<2}"
