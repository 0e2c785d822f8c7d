"""What a call holds while it lasts. The four words about its end return at once; they reach the plane in the background."""

from collections.abc import Mapping
from typing import TYPE_CHECKING

from dayshift.llm.limits.asks import Grant, Waiter

if TYPE_CHECKING:
    from dayshift.llm.limits.line import Line
    from dayshift.llm.limits.telling import Telling


class Reservation:
    """Ends with the first of `settle`, `give_back` and `refused`; what is said after that changes nothing."""

    __slots__ = ("_is_over", "_telling", "credential", "grant", "line", "renew_at_mono", "waited_seconds", "waiter")

    def __init__(self, telling: "Telling", line: "Line", waiter: Waiter, grant: Grant, waited_seconds: float) -> None:
        self._telling = telling
        self.line = line
        self._is_over = False
        self.waiter = waiter
        self.grant = grant
        self.credential = grant.credential
        self.waited_seconds = waited_seconds
        self.renew_at_mono = 0.0

    def settle(self, *, input_tokens: int | None, output_tokens: int | None) -> None:
        """The call is over and used this; None: what it used is unknown, and the estimate stays."""
        if self._ends():
            self._telling.settled(self, input_tokens, output_tokens)

    def give_back(self) -> None:
        """The call was never sent: all of it goes back."""
        if self._ends():
            self._telling.given_back(self)

    def refused(self, *, retry_after_seconds: float | None, headers: Mapping[str, str]) -> None:
        """The provider answered 429: somebody else uses the key, or its limit is not what we think."""
        if not self._is_over:
            self._telling.heard(self, headers)
        if self._ends():
            self._telling.refused(self, retry_after_seconds)

    def heard(self, headers: Mapping[str, str]) -> None:
        """The headers of an answer: what the provider says is left."""
        self._telling.heard(self, headers)

    def _ends(self) -> bool:
        is_first, self._is_over = not self._is_over, True
        return is_first
