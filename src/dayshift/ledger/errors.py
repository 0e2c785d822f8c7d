"""Every error of the PostgreSQL driver becomes one of the house here, and nowhere else.

    DayshiftError
    ├── LedgerAway         cannot be reached, shuts down, is out of some resource, or was too slow
    │   └── LedgerBusy     it answers, but others hold the rows: deadlock, lock timeout, serialization. Repeat at once.
    ├── BadRow             (InvalidInput) these very values are refused. Repeating is useless; their neighbours are fine.
    ├── LedgerMisfit       (WrongUse) wrong URL, password, rights or schema: a person must act
    └── DayshiftError      code `ledger_fault`: we used the driver wrongly. A bug.

`translate` decides by SQLSTATE class for what the server says, and by type for what the driver says itself.
"""

import asyncio
from collections.abc import Iterator
from contextlib import contextmanager

import asyncpg
from asyncpg import exceptions

from dayshift.domain.errors import DayshiftError, InvalidInput, LedgerAway, WrongUse

RETRY_AFTER_SECONDS = 1.0


class LedgerBusy(LedgerAway):
    """Others hold the rows that this statement needs. It changed nothing and can be repeated at once."""

    code = "ledger_busy"


class BadRow(InvalidInput):
    """PostgreSQL refuses a value of this statement, and would again."""

    code = "bad_row"


class LedgerMisfit(WrongUse):
    """The database is not what this code expects: a person must act."""

    code = "ledger_misfit"


_BUSY_STATES = frozenset({
    "40001",  # serialization_failure
    "40P01",  # deadlock_detected
    "55P03",  # lock_not_available
    "55006",  # object_in_use
})  # fmt: skip

_KIND_BY_CLASS: dict[str, type[DayshiftError]] = {
    "08": LedgerAway,  # connection exception
    "22": BadRow,  # data exception
    "23": BadRow,  # integrity constraint violation
    "25": LedgerAway,  # invalid transaction state, such as a primary that has become read-only
    "26": LedgerAway,  # a prepared statement is gone: a pooler gave us another session
    "28": LedgerMisfit,  # invalid authorization
    "3D": LedgerMisfit,  # no such database
    "3F": LedgerMisfit,  # no such schema
    "40": LedgerBusy,  # transaction rollback
    "42": LedgerMisfit,  # no such table or column, no right to it
    "53": LedgerAway,  # insufficient resources: disk, memory, connections
    "54": BadRow,  # a program limit: a value too large for an index or a row
    "55": LedgerAway,  # not in a prerequisite state, such as an object in use
    "57": LedgerAway,  # operator intervention: shutdown, crash, cancelled by statement_timeout
    "58": LedgerAway,  # system error: I/O
    "XX": LedgerAway,  # internal error: a damaged index heals or not, but it is not the row's fault
}

# Another session may do better: this one is with a server that has become read-only, or has lost its statements.
_OF_THE_SESSION = frozenset({"25", "26"})

_CURES: dict[type[DayshiftError], str] = {
    LedgerAway: "PostgreSQL does not answer ({0}). Check that it runs and that DAYSHIFT_DATABASE_URL is right; try again.",
    LedgerBusy: "PostgreSQL is busy with the same rows ({0}). Nothing was changed; try again.",
    BadRow: "PostgreSQL refuses a value ({0}). Send other data; nothing was changed.",
    LedgerMisfit: "The database does not fit ({0}). Run `dayshift migrate`, and check the user and database in DAYSHIFT_DATABASE_URL.",
    DayshiftError: "A statement was used wrongly ({0}). This is a bug in dayshift; please report it.",
}

_DISK_FULL_STATE = "53100"
_DISK_FULL = "PostgreSQL's disk is full ({0}). Free some space on it; nothing was changed."

_AWAY_TYPES = (
    OSError,  # refused, unreachable, no such socket; TimeoutError is one of them
    asyncio.TimeoutError,
    EOFError,
    asyncpg.PostgresConnectionError,
    asyncpg.InternalClientError,  # the protocol went out of step: the connection is thrown away
)
_BAD_ROW_TYPES = (
    exceptions.DataError,  # also the driver's own, for an argument that it cannot encode
    UnicodeError,  # lone surrogates
    OverflowError,
)

FOREIGN: tuple[type[Exception], ...] = (
    asyncpg.PostgresError,
    asyncpg.InterfaceError,
    asyncpg.InternalClientError,
    *_AWAY_TYPES,
    *_BAD_ROW_TYPES,
)


def kind_of(error: BaseException) -> type[DayshiftError]:
    """The class of the house that says what this foreign error means to a caller."""
    state = getattr(error, "sqlstate", None)
    if isinstance(state, str) and len(state) == 5:
        if state in _BUSY_STATES:
            return LedgerBusy
        return _KIND_BY_CLASS.get(state[:2], DayshiftError)
    if isinstance(error, _BAD_ROW_TYPES):
        return BadRow
    if isinstance(error, _AWAY_TYPES):
        return LedgerAway
    if isinstance(error, asyncpg.InterfaceError):
        return _kind_of_interface_error(str(error))
    return DayshiftError


def _kind_of_interface_error(text: str) -> type[DayshiftError]:
    """The driver has one class for a lost connection and for wrong use; only its words tell them apart."""
    lost = ("closed", "closing", "released", "not connected", "lost", "terminated")
    return LedgerAway if any(word in text for word in lost) else DayshiftError


def leaves_connection_unsure(error: BaseException) -> bool:
    """Whether the connection is better thrown away than used again: it broke, or nobody knows what it still does."""
    said_by_server = isinstance(error, asyncpg.PostgresError) and not isinstance(error, asyncpg.PostgresConnectionError)
    if said_by_server:
        ended = isinstance(error, (exceptions.AdminShutdownError, exceptions.CrashShutdownError))
        return ended or str(getattr(error, "sqlstate", ""))[:2] in _OF_THE_SESSION
    return issubclass(kind_of(error), LedgerAway)


def translate(error: BaseException) -> DayshiftError:
    """Make the error of the house for an error of the driver."""
    kind = kind_of(error)
    reason = str(error) or type(error).__name__
    is_disk_full = getattr(error, "sqlstate", None) == _DISK_FULL_STATE
    message = (_DISK_FULL if is_disk_full else _CURES[kind]).format(reason.strip().rstrip(".").replace("\n", "; "))
    if kind is DayshiftError:
        return DayshiftError(message, code="ledger_fault")
    if issubclass(kind, LedgerAway):
        return kind(message, retry_after_seconds=RETRY_AFTER_SECONDS)
    return kind(message)


@contextmanager
def translated() -> Iterator[None]:
    """The border: what the driver raises inside leaves as an error of the house."""
    try:
        yield
    except FOREIGN as error:
        raise translate(error) from error
