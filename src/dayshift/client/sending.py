"""One request, and when it is repeated.

Repeated is what may be: a GET, and a POST that a key or its own sense makes harmless. Reasons are that nobody answers, 502, 503, 504 and 429.
The pause is random and grows; where the gateway says how long to wait it is that long at least.
"""

import asyncio
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from msgspec import Struct

from dayshift.client.problems import Problem, error_of
from dayshift.domain.errors import DayshiftError, DependencyAway, Refused
from dayshift.domain.jitter import full_jitter

if TYPE_CHECKING:
    from httpx2 import AsyncClient, Response

TRIES = 6
PAUSE_SECONDS, LONGEST_PAUSE_SECONDS = 0.25, 8.0
LONGEST_WISH_SECONDS = 60.0  # a gateway that wants to be left alone for longer is told of to the caller


class Request(Struct, frozen=True, kw_only=True):
    """What is asked. Parameters that are None are left out; `timeout_seconds` None: as the client has it."""

    method: str
    path: str
    body: bytes | None = None
    query: Mapping[str, Any] = {}
    headers: Mapping[str, str] = {}
    timeout_seconds: float | None = None


class Sender:
    """Of one client."""

    def __init__(self, http: "AsyncClient", url: str, *, has_key: bool) -> None:
        self._http = http
        self._url = url
        self._has_key = has_key

    async def send(self, method: str, path: str, *, may_repeat: bool = True, **asked: Any) -> bytes:
        """The body of a good answer to a `Request`. Raises the error that a refusal means, and DependencyAway when nobody answers."""
        request = Request(method=method, path=path, **asked)
        failures = 0
        while True:
            try:
                return await self._once(request)
            except (DependencyAway, Refused) as error:
                failures += 1
                if not may_repeat or failures == TRIES or not is_worth_waiting(error):
                    raise
                await asyncio.sleep(pause_seconds(error, failures))

    async def _once(self, request: Request) -> bytes:
        import httpx2

        kind = {} if request.body is None else {"Content-Type": "application/json"}
        try:
            answer = await self._http.request(
                request.method,
                request.path,
                content=request.body,
                params={name: value for name, value in request.query.items() if value is not None},
                headers={**kind, **request.headers},
                timeout=httpx2.USE_CLIENT_DEFAULT if request.timeout_seconds is None else request.timeout_seconds,
            )
        except httpx2.TransportError as error:
            raise self.away(error) from error
        if answer.is_error:
            raise self.refusal(answer.status_code, answer.content)
        self._check_kind(answer)
        return answer.content

    def _check_kind(self, answer: "Response") -> None:
        kind = answer.headers.get("content-type", "application/json" if not answer.content else "")
        if not kind.startswith("application/json"):
            raise DayshiftError(
                f"What answers at {self._url} is no dayshift gateway (it says {kind or 'nothing'!r}); check the address."
            )

    def away(self, error: Exception) -> DependencyAway:
        """Nobody answers."""
        return DependencyAway(
            f"No gateway answers at {self._url} ({str(error) or type(error).__name__}); check the address, and that one runs."
        )

    def refusal(self, status: int, body: bytes) -> DayshiftError:
        """What a bad answer means."""
        problem = Problem.of(body)
        said = problem.detail or problem.title or f"the gateway at {self._url} answers {status}"
        if status == 401:
            what = "does not know this API key" if self._has_key else "wants an API key"
            said = f"The gateway at {self._url} {what}: give `api_key`, or set DAYSHIFT_API_KEY."
        return error_of(status, said, problem)


def is_worth_waiting(error: DayshiftError) -> bool:
    """Whether it may be over soon. A budget that is spent is not."""
    return error.code != "budget_spent" and (error.retry_after_seconds or 0.0) <= LONGEST_WISH_SECONDS


def pause_seconds(error: DayshiftError, failures: int) -> float:
    """How long to wait before the next try."""
    return (error.retry_after_seconds or 0.0) + full_jitter(PAUSE_SECONDS, LONGEST_PAUSE_SECONDS, failures)
