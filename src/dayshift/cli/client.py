"""Client commands speak HTTP to a gateway, here: where it is, who we are, and what its refusals mean."""

import time
from collections.abc import Iterator, Mapping
from types import TracebackType
from typing import TYPE_CHECKING, Annotated, Any, Self

import msgspec
from cyclopts import Parameter

from dayshift.client.problems import Problem, error_of
from dayshift.client.trust import trusted
from dayshift.config import Config
from dayshift.domain.errors import DayshiftError, DependencyAway, InvalidInput

if TYPE_CHECKING:
    from httpx2 import Response

Url = Annotated[
    str | None, Parameter(name="--url", help="The gateway's address (else by DAYSHIFT_HOST and DAYSHIFT_PORT).")
]

ANSWER_SECONDS = 30.0
TRIES = 4
LONGEST_PAUSE_SECONDS = 5.0
PAGE = 100
SILENCE_SECONDS = 1.0


class Gateway:
    """A gateway, as a client sees it. A request that may be repeated safely is, for a while, when nobody answers."""

    def __init__(self, url: str | None = None, config: Config | None = None) -> None:
        import httpx2

        config = config or Config.from_env()
        self.url = (url or config.gateway_url).rstrip("/")
        headers = {"Authorization": f"Bearer {config.api_key}"} if config.api_key else {}
        self._has_key = config.api_key is not None
        try:
            self._http = httpx2.Client(
                base_url=self.url,
                headers=headers,
                timeout=ANSWER_SECONDS,
                trust_env=False,
                verify=trusted(config, url),
            )
        except (httpx2.InvalidURL, ValueError, TypeError) as error:
            raise InvalidInput(f"{self.url!r} is no address ({error}); give one like http://127.0.0.1:8700") from error

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._http.close()

    def get(self, path: str, **query: Any) -> Any:
        """A GET's JSON; parameters that are None are left out."""
        return self._json("GET", path, params={name: value for name, value in query.items() if value is not None})

    def post(self, path: str, body: Any = None, *, headers: Mapping[str, str] | None = None) -> Any:
        """A POST's JSON. It is repeated only with an `Idempotency-Key`."""
        content = None if body is None else msgspec.json.encode(body)
        sent = {"Content-Type": "application/json", **(headers or {})}
        return self._json("POST", path, content=content, headers=sent, tries=TRIES if headers else 1)

    def patch(self, path: str, body: Any) -> Any:
        """A PATCH's JSON."""
        sent = {"Content-Type": "application/json"}
        return self._json("PATCH", path, content=msgspec.json.encode(body), headers=sent, tries=1)

    def delete(self, path: str) -> None:
        self._send("DELETE", path)

    def every(self, path: str) -> Iterator[Any]:
        """All items of a list, page by page."""
        after = None
        while True:
            page = self.get(path, limit=PAGE, after=after)
            yield from page["data"]
            if not page["has_more"]:
                return
            after = page["data"][-1]["id"]

    def stream_so_far(self, path: str) -> Iterator[tuple[str, Any]]:
        """The events that a stream keeps, up to its end or to a second of silence."""
        import httpx2

        limits = httpx2.Timeout(ANSWER_SECONDS, read=SILENCE_SECONDS)
        name = ""
        try:
            with self._http.stream("GET", path, timeout=limits) as answer:
                if answer.is_error:
                    return
                for line in answer.iter_lines():
                    if line.startswith("event: "):
                        name = line.removeprefix("event: ")
                    elif line.startswith("data: "):
                        yield name, msgspec.json.decode(line.removeprefix("data: "))
        except httpx2.TransportError:  # silent, or its gateway left: what has come is what there is
            return

    def wait_for(self, task: Any) -> Any:
        """The task at its end, however long that takes; outlives restarts of the gateway."""
        while task["status"] not in {"succeeded", "failed", "cancelled"}:
            task = self.get(f"/v1/tasks/{task['id']}", wait=20)
        return task

    def _json(self, method: str, path: str, *, tries: int = TRIES, **options: Any) -> Any:
        answer = self._send(method, path, tries=tries, **options)
        try:
            return msgspec.json.decode(answer.content)
        except msgspec.DecodeError as error:
            raise DependencyAway(
                f"What answers at {self.url} is no dayshift gateway ({error}); check DAYSHIFT_HOST and DAYSHIFT_PORT."
            ) from error

    def _send(self, method: str, path: str, *, tries: int = 1, **options: Any) -> "Response":
        """Send, again when the way or the gateway is away and a repeat is safe."""
        for attempt in range(1, tries + 1):
            try:
                return self._send_once(method, path, **options)
            except DependencyAway as away:
                if attempt == tries:
                    raise
                pause = away.retry_after_seconds if away.retry_after_seconds is not None else 0.25 * 2**attempt
                time.sleep(min(pause, LONGEST_PAUSE_SECONDS))
        raise AssertionError("at least one try")

    def _send_once(self, method: str, path: str, **options: Any) -> "Response":
        import httpx2

        try:
            answer = self._http.request(method, path, **options)
        except httpx2.TransportError as error:
            reason = str(error) or type(error).__name__
            raise DependencyAway(
                f"No gateway answers at {self.url} ({reason}): start one (`dayshift run FILE`), "
                "or name it by --url or DAYSHIFT_HOST and DAYSHIFT_PORT."
            ) from error
        if answer.is_error:
            raise self._error_of(answer)
        return answer

    def _error_of(self, answer: "Response") -> DayshiftError:
        problem = Problem.of(answer.content)
        said = problem.detail or problem.title or f"the gateway answers {answer.status_code}"
        if answer.status_code == 401:
            what = "does not know this DAYSHIFT_API_KEY" if self._has_key else "wants an API key"
            cure = "set DAYSHIFT_API_KEY to a key that `dayshift keys create --tenant NAME` printed"
            said = f"The gateway at {self.url} {what}: {cure}."
        return error_of(answer.status_code, said, problem)
