"""Web pages of other origins: refused by browsers, unless the setting `gateway.cors_origins` names theirs. No cookies, ever."""

from collections.abc import Callable

from starlette.middleware.cors import CORSMiddleware
from starlette.types import ASGIApp, Receive, Scope, Send

from dayshift.domain.settings import Settings

_METHODS = ("GET", "HEAD", "POST", "PUT", "PATCH", "DELETE")
_SHOWN = (
    "ETag",
    "Idempotent-Replayed",
    "Location",
    "RateLimit",
    "RateLimit-Policy",
    "Retry-After",
    "X-Request-Id",
    "X-Should-Retry",
)


class Cors:
    """The app, for whom the settings let in at this moment."""

    def __init__(self, app: ASGIApp, settings: Callable[[], Settings]) -> None:
        self._app = app
        self._settings = settings
        self._let_in: list[str] = []
        self._for_them = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        origins = self._settings().gateway.cors_origins
        if origins != self._let_in:
            self._let_in = origins
            self._for_them = self._letting_in(origins) if origins else self._app
        await self._for_them(scope, receive, send)

    def _letting_in(self, origins: list[str]) -> ASGIApp:
        return CORSMiddleware(
            self._app, allow_origins=origins, allow_methods=_METHODS, allow_headers=["*"], expose_headers=_SHOWN
        )
