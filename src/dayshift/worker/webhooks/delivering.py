"""The agent that delivers: looks what there is to tell, signs it, sends it, and says what its answer means.

    2xx                     delivered
    410                     the endpoint is switched off, and this delivery is a dead letter, which can be replayed
    anything else, nothing  tried again after 5 s, 5 min, 30 min, 2 h, 5 h, 10 h, 14 h, 20 h, 24 h, then a dead letter

What stands between us and a receiver (`gates.py`) costs no tries: the delivery is parked. But not for ever: a delivery that is an hour
behind the times above counts being turned away as a try, so that every one of them ends.
"""

from collections.abc import Callable

from msgspec import Struct

from dayshift.agents import Agent, Context
from dayshift.agents.declaration import Declaration
from dayshift.agents.errors import Fatal, Retry
from dayshift.domain import clock, webhooks
from dayshift.domain.addresses import target_of
from dayshift.domain.errors import NotFound
from dayshift.domain.events import WebhookDelivery
from dayshift.domain.jitter import stretched
from dayshift.domain.patience import until_answered
from dayshift.domain.webhooks import Delivered, Delivery, Endpoint, Push
from dayshift.ledger import Ledger
from dayshift.ledger.webhooks import DeliveryFacts
from dayshift.telemetry import emit
from dayshift.worker.webhooks.answers import Answer, Unreachable
from dayshift.worker.webhooks.gates import Gates
from dayshift.worker.webhooks.sending import Sender
from dayshift.worker.webhooks.telling import body_of, headers_of

WAITS_SECONDS = (5.0, 300.0, 1_800.0, 7_200.0, 18_000.0, 36_000.0, 50_400.0, 72_000.0, 86_400.0)
JITTER = 0.1
BEHIND_SECONDS = 3_600.0
TIMEOUT_SECONDS = 300.0
PARKED_SECONDS = 1.0  # what is shorter is waited for in memory
_WEBHOOK_ID = "evt_"


class EndpointGone(Fatal):
    """The receiver said that it is gone for good."""

    code = "endpoint_gone"


class EndpointDisabled(Fatal):
    """Nobody listens there at present."""

    code = "endpoint_disabled"


class TestFailed(Fatal):
    """A test is not tried again: who waits for it wants to know now."""

    code = "webhook_unreachable"
    __test__ = False  # for pytest, which takes the name for a class of tests


class _Place(Struct, frozen=True):
    """Where a delivery goes, and who signs it. `receiver` names the gate."""

    url: str
    endpoint: Endpoint
    receiver: str
    push: Push | None = None


def house_agents(
    ledger: Ledger,
    sender: Sender,
    *,
    on_back: Callable[[str], None],
    waits_seconds: tuple[float, ...] = WAITS_SECONDS,
) -> dict[str, Agent]:
    """The agents that every worker has, whatever its file declares. They are in no registry, so nobody can submit to them."""
    deliverer = Deliverer(ledger, sender, Gates(), on_back=on_back, waits_seconds=waits_seconds)
    declaration = Declaration(
        function=deliverer.deliver,
        name=webhooks.AGENT,
        queue=webhooks.QUEUE,
        timeout_seconds=TIMEOUT_SECONDS,
        max_attempts=len(waits_seconds) + 1,
        strict=False,
        pin=False,
    )
    return {webhooks.AGENT: Agent(declaration, deliverer.deliver, is_async=True)}


class Deliverer:
    """Delivers for one process. `on_back` hears of receivers that answer again."""

    def __init__(
        self,
        ledger: Ledger,
        sender: Sender,
        gates: Gates,
        *,
        on_back: Callable[[str], None],
        waits_seconds: tuple[float, ...],
    ) -> None:
        self._ledger = ledger
        self._sender = sender
        self._gates = gates
        self._on_back = on_back
        self._waits_seconds = waits_seconds

    async def deliver(self, ctx: Context, delivery: Delivery) -> Delivered:
        """One try."""
        facts = await until_answered(lambda: self._ledger.webhooks.facts(ctx.task_id))
        webhook_id = ctx.task_id.replace("task_", _WEBHOOK_ID, 1)
        if facts.task is None and delivery.became is not None:
            return _nothing_to_tell(webhook_id, "task_erased")
        place = await self._place(ctx.tenant, delivery, facts)
        if place is None:
            return _nothing_to_tell(webhook_id, "endpoint_deleted")
        body = body_of(delivery, facts.task, ctx.tenant)
        if delivery.became is None:
            return await self._test(webhook_id, place, delivery, body)
        await self._enter(ctx, place, facts)
        answer = await self._send(webhook_id, place, delivery, body)
        return await self._judged(webhook_id, place, answer, facts)

    async def _place(self, tenant: str, delivery: Delivery, facts: DeliveryFacts) -> _Place | None:
        """None: the endpoint is no more. Raises EndpointDisabled."""
        if delivery.endpoint is None:
            push = None if delivery.push is None else facts.push
            url = facts.url if push is None else push.url
            if url is None or (delivery.push is not None and push is None):
                return None
            endpoint = await until_answered(lambda: self._ledger.webhooks.default(tenant))
            return _Place(url, endpoint, f"webhook {tenant} {_origin_of(url)}", push)
        endpoint_id = f"{webhooks.ENDPOINT_PREFIX}{delivery.endpoint}"
        try:
            endpoint = await until_answered(lambda: self._ledger.webhooks.get(tenant, endpoint_id))
        except NotFound:
            return None
        if endpoint.disabled_at is not None and delivery.became is not None:
            emit(WebhookDelivery(outcome="dead"))
            raise EndpointDisabled(
                f"endpoint {endpoint.id} is disabled ({endpoint.disabled_why}); enable it, then retry this delivery"
            )
        assert endpoint.url is not None, "only the default secret has no address"
        return _Place(endpoint.url, endpoint, f"webhook {endpoint.id}")

    async def _enter(self, ctx: Context, place: _Place, facts: DeliveryFacts) -> None:
        """Wait, without a slot, until the receiver may be called."""
        due_seconds = sum(self._waits_seconds[: facts.failures])
        while (not_now := self._gates.enter(place.receiver)) is not None:
            if not_now.is_broken and facts.age_seconds > due_seconds + BEHIND_SECONDS:
                raise self._failure("it was not called, as it keeps failing", facts, None)
            if not_now.seconds >= PARKED_SECONDS:
                emit(WebhookDelivery(outcome="held"))
            waiting = ctx._effects.waiting  # noqa: SLF001 - authors have no word for this: an attempt that asks later, whatever its journal says
            await waiting.until_provider(place.receiver, not_now.seconds, "the receiver is slow or does not answer")

    async def _send(self, webhook_id: str, place: _Place, delivery: Delivery, body: bytes) -> Answer | Unreachable:
        begun_mono = clock.monotonic_seconds()
        went_well: bool | None = None
        try:
            headers = headers_of(webhook_id, place.endpoint, delivery, body, place.push)
            answer = await self._sender.send(place.url, headers, body)
            went_well = answer.status < 500 and answer.status != 429
        except Unreachable as unreachable:
            went_well = False
            return unreachable
        else:
            return answer
        finally:
            seconds = clock.monotonic_seconds() - begun_mono
            if self._gates.leave(place.receiver, went_well=went_well, seconds=seconds):
                self._on_back(place.receiver)

    async def _judged(
        self, webhook_id: str, place: _Place, answer: Answer | Unreachable, facts: DeliveryFacts
    ) -> Delivered:
        if isinstance(answer, Unreachable):
            raise self._failure(str(answer), facts, None)
        if 200 <= answer.status < 300:
            emit(WebhookDelivery(outcome="delivered"))
            return Delivered(webhook_id=webhook_id, outcome="delivered", status_code=answer.status)
        if answer.status == 410:
            emit(WebhookDelivery(outcome="dead"))
            if place.endpoint.url is not None:
                await until_answered(
                    lambda: self._ledger.webhooks.disable(place.endpoint, "its receiver answered 410 Gone")
                )
            raise EndpointGone("the receiver answered 410: it is gone")
        raise self._failure(f"it answered {answer.status}", facts, answer.retry_after_seconds)

    def _failure(self, what: str, facts: DeliveryFacts, retry_after_seconds: float | None) -> Retry:
        """What ends this try. The worker makes a dead letter of the last one."""
        is_last = facts.failures >= len(self._waits_seconds)
        emit(WebhookDelivery(outcome="dead" if is_last else "failed"))
        wait_seconds = self._waits_seconds[min(facts.failures, len(self._waits_seconds) - 1)]
        after_seconds = stretched(max(wait_seconds, retry_after_seconds or 0.0), JITTER)
        return Retry(after_seconds, f"the receiver was not told: {what}")

    async def _test(self, webhook_id: str, place: _Place, delivery: Delivery, body: bytes) -> Delivered:
        try:
            answer = await self._sender.send(place.url, headers_of(webhook_id, place.endpoint, delivery, body), body)
        except Unreachable as error:
            raise TestFailed(str(error)) from None
        return Delivered(webhook_id=webhook_id, outcome=webhooks.TEST, status_code=answer.status)


def _nothing_to_tell(webhook_id: str, why: str) -> Delivered:
    emit(WebhookDelivery(outcome="dropped"))
    return Delivered(webhook_id=webhook_id, outcome=why)


def _origin_of(url: str) -> str:
    """Without the path, which may hold a secret."""
    try:
        target = target_of(url)
    except ValueError:
        return "nowhere"
    return f"{target.scheme}://{target.authority}"
