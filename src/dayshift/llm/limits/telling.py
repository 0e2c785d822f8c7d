"""What becomes of reservations: learned from, counted, and told to whoever granted them."""

from collections.abc import Mapping

from dayshift.domain.clock import monotonic_seconds
from dayshift.hotplane.limits import LimitTelling
from dayshift.llm.limits.asks import Grant, Waiter
from dayshift.llm.limits.estimates import Estimates
from dayshift.llm.limits.headers import heard_in
from dayshift.llm.limits.line import Line
from dayshift.llm.limits.reservation import Reservation
from dayshift.llm.limits.teller import Hearer, Teller

LAPSE_SECONDS = 15.0
LAPSE_UNCOUNTED_SECONDS = 900.0  # where nobody counts concurrent calls a reservation that lapses frees nothing
RENEWALS_A_LAPSE = 3
REFUSED_SECONDS = 0.5
HEARD_APART_SECONDS = 0.25
SETTLE_WITHIN_SECONDS = 0.05  # while nobody here waits for it


class Telling:
    """The reservations under way."""

    def __init__(self, plane: Hearer, estimates: Estimates) -> None:
        self._teller = Teller(plane)
        self._estimates = estimates
        self._open: dict[str, Reservation] = {}
        self._heard_mono: dict[tuple[str, str], float] = {}

    def begun(self, line: Line, waiter: Waiter, grant: Grant, waited_seconds: float) -> Reservation:
        """A call starts."""
        reservation = Reservation(self, line, waiter, grant, waited_seconds)
        line.open_calls[grant.credential] = line.open_calls.get(grant.credential, 0) + 1
        if grant.is_shared:
            self._open[waiter.id] = reservation
            self._confirm(reservation)
        return reservation

    def settled(self, reservation: Reservation, input_tokens: int | None, output_tokens: int | None) -> None:
        """The call is over."""
        waiter = reservation.waiter
        ask = waiter.ask
        if input_tokens != 0:  # what failed teaches nothing
            self._estimates.learn(ask.agent, ask.model, ask.input_tokens, input_tokens, output_tokens)
        used = (
            waiter.input_tokens if input_tokens is None else input_tokens,
            waiter.output_tokens if output_tokens is None else output_tokens,
        )
        self._ends(reservation, LimitTelling("s", waiter.id, *used), 1, *used)

    def given_back(self, reservation: Reservation) -> None:
        """The call was never sent."""
        self._ends(reservation, LimitTelling("b", reservation.waiter.id), 0, 0, 0)

    def unused(self, line: str, reservation: str) -> None:
        """No call came for what was granted."""
        self._teller.tell(line, LimitTelling("b", reservation))

    def refused(self, reservation: Reservation, retry_after_seconds: float | None) -> None:
        """The provider answered 429."""
        seconds = REFUSED_SECONDS if retry_after_seconds is None else retry_after_seconds
        self._ends(reservation, LimitTelling("f", reservation.waiter.id, seconds * 1000), 1, 0, 0)

    def heard(self, reservation: Reservation, headers: Mapping[str, str]) -> None:
        """The provider's own figures; of many answers a second, some."""
        if not reservation.grant.is_shared:
            return
        line, credential = reservation.line.name, reservation.credential
        now = monotonic_seconds()
        if now - self._heard_mono.get((line, credential), 0.0) < HEARD_APART_SECONDS:
            return
        heard = heard_in(headers)
        if heard is not None:
            self._heard_mono[line, credential] = now
            texts = (" ".join(map(str, numbers)) for numbers in (heard.remaining, heard.limits))
            self._teller.tell(line, LimitTelling("h", reservation.waiter.id, *texts))

    def renew(self) -> None:
        """Say of calls that last that they do."""
        now = monotonic_seconds()
        for reservation in self._open.values():
            if now >= reservation.renew_at_mono:
                self._confirm(reservation)

    async def close(self) -> None:
        """Tell what is untold, once."""
        await self._teller.close()

    def _confirm(self, reservation: Reservation) -> None:
        counts = reservation.waiter.ask.limits.concurrent is not None
        seconds = LAPSE_SECONDS if counts else LAPSE_UNCOUNTED_SECONDS
        reservation.renew_at_mono = monotonic_seconds() + seconds / RENEWALS_A_LAPSE
        self._teller.confirm(reservation.line.name, reservation.waiter.id, seconds * 1000)

    def _ends(
        self, reservation: Reservation, telling: LimitTelling, requests: int, used_in: int, used_out: int
    ) -> None:
        line, credential = reservation.line, reservation.credential
        line.open_calls[credential] -= 1
        line.used.add(requests, used_in, used_out)
        if reservation.grant.is_shared:
            self._open.pop(reservation.waiter.id, None)
            self._teller.tell(line.name, telling, within_seconds=0.0 if line.is_short else SETTLE_WITHIN_SECONDS)
        else:
            line.share.settle(reservation.waiter, credential, requests, used_in, used_out)
