"""The border to redis-py: its errors, its sockets and the operating system's become ours here, each with a cure."""

import hiredis
import redis.exceptions as foreign

from dayshift.domain.errors import DayshiftError, PlaneAway, PlaneNotReady, WrongUse

FOREIGN_ERRORS: tuple[type[Exception], ...] = (
    foreign.RedisError,
    foreign.RedisClusterException,
    foreign.ChildDeadlockedError,
    foreign.IncorrectPolicyType,
    hiredis.HiredisError,
    OSError,  # TimeoutError is one of them
)

_NOT_READY = "NOT_READY"
_RETRY_SECONDS = 1.0


def translated(error: BaseException, server: str) -> DayshiftError:
    """Our error for a foreign one. `server` names the server without its credentials."""
    text = str(error)
    match error:
        case foreign.ResponseError() if text.startswith(_NOT_READY):
            return PlaneNotReady(
                f"Valkey at {server} is being rebuilt from PostgreSQL ({text}); wait a moment and ask again",
                retry_after_seconds=_RETRY_SECONDS,
            )
        case foreign.NoPermissionError() | foreign.AuthorizationError():
            return WrongUse(f"the user of DAYSHIFT_VALKEY_URL may not run a command on {server}: {text}")
        case foreign.AuthenticationError():
            return WrongUse(
                f"Valkey at {server} refuses the user name or password; correct them in DAYSHIFT_VALKEY_URL"
            )
        case _:
            return PlaneAway(_what_is_away(error, text, server), retry_after_seconds=_RETRY_SECONDS)


def _what_is_away(error: BaseException, text: str, server: str) -> str:
    match error:
        case foreign.OutOfMemoryError():
            return f"Valkey at {server} is out of memory: raise its maxmemory, it must not evict"
        case foreign.ResponseError():
            return f"Valkey at {server} answered with an error: {text}"
        case foreign.TimeoutError() | TimeoutError():
            return f"Valkey at {server} did not answer in time; check that it runs and is not overloaded"
        case _:
            return (
                f"Valkey at {server} cannot be reached ({type(error).__name__}: {text}); "
                "check that it runs and that DAYSHIFT_VALKEY_URL names it"
            )
