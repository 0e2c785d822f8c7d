"""What tenants submit, within their limits: only what becomes a task counts.

The cost is taken before anything else is done, and given back when no task came of it: what was refused, and a repeat with the same
idempotency key. So somebody whose answer was lost asks again without loss; at the limit, too, what was accepted is answered.
"""

from collections.abc import Callable, Sequence

from dayshift.domain.errors import DayshiftError
from dayshift.tasks.inputs import TaskRequest
from dayshift.tasks.intake import Intake, Receipt
from dayshift.tasks.rates import Quota, RateLimited, TenantRates


class Submitting:
    """The intake as doors use it. Each call answers how the limits stand afterwards as well (nothing: there are none)."""

    def __init__(self, intake: Intake, rates: TenantRates) -> None:
        self._intake = intake
        self._rates = rates

    async def submit(
        self,
        request: TaskRequest,
        *,
        tenant: str,
        trace_id: str | None = None,
        before_commit: Callable[[str], None] | None = None,
        a2a: str | None = None,
    ) -> tuple[Receipt, tuple[Quota, ...]]:
        """`Intake.submit`, which says what else is raised; `RateLimited`, and `InvalidInput` (code `over_limit`)."""
        try:
            taken = await self._rates.take(tenant, [request])
        except RateLimited as refusal:
            if (receipt := await self._intake.replay_of(request, tenant)) is not None:
                return receipt, refusal.quotas
            raise
        try:
            receipt = await self._intake.submit(
                request, tenant=tenant, trace_id=trace_id, before_commit=before_commit, a2a=a2a
            )
        except DayshiftError:
            await self._rates.give_back(taken, [request])
            raise
        return receipt, await self._rates.give_back(taken, [request] if receipt.replayed else [])

    async def submit_many(
        self, requests: Sequence[TaskRequest | DayshiftError], *, tenant: str, trace_id: str | None = None
    ) -> tuple[list[Receipt | DayshiftError], tuple[Quota, ...]]:
        """`Intake.submit_many`. The limits have room for all of them, or this is refused as a whole, repeats or not."""
        taken = await self._rates.take(tenant, [one for one in requests if isinstance(one, TaskRequest)])
        results = await self._intake.submit_many(list(requests), tenant=tenant, trace_id=trace_id)
        made_none = [
            request
            for request, result in zip(requests, results, strict=True)
            if isinstance(request, TaskRequest) and (isinstance(result, DayshiftError) or result.replayed)
        ]
        return results, await self._rates.give_back(taken, made_none)
