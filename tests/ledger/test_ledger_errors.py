import asyncio
import inspect

import asyncpg
import pytest
from asyncpg import exceptions

from dayshift.domain.errors import DayshiftError, LedgerAway
from dayshift.ledger.errors import (
    FOREIGN,
    BadRow,
    LedgerBusy,
    LedgerMisfit,
    kind_of,
    leaves_connection_unsure,
    translate,
    translated,
)

DRIVER_CLASSES = sorted(
    {
        thing
        for module in (asyncpg, exceptions)
        for thing in vars(module).values()
        if inspect.isclass(thing) and issubclass(thing, Exception) and not issubclass(thing, Warning)
    },
    key=lambda thing: thing.__name__,
)
# Statements of ours never meet these: they belong to PL/pgSQL that we do not write, to foreign tables, to replication
# and to the driver's own wrong use. They are bugs if they come, and told as such.
BUGS = {"01", "02", "03", "09", "0A", "0B", "0F", "0L", "0P", "0Z", "10", "20", "21", "24", "26", "27", "2B", "2D", "2F",
        "34", "38", "39", "3B", "44", "72", "F0", "HV", "P0"}  # fmt: skip


def make(kind: type[Exception]) -> Exception:
    error = kind.__new__(kind)
    Exception.__init__(error, "words")
    return error


@pytest.mark.parametrize("kind", DRIVER_CLASSES, ids=lambda kind: kind.__name__)
def test_no_error_class_of_the_driver_is_forgotten(kind):
    assert issubclass(kind, FOREIGN), "it would pass the border untranslated"
    state = getattr(kind, "sqlstate", None)
    if isinstance(state, str) and len(state) == 5 and kind_of(make(kind)) is DayshiftError:
        assert state[:2] in BUGS, "say in errors.py what this class of SQLSTATE means to a caller"


@pytest.mark.parametrize(
    ("error", "expected"),
    [
        (exceptions.DeadlockDetectedError, LedgerBusy),
        (exceptions.LockNotAvailableError, LedgerBusy),
        (exceptions.SerializationError, LedgerBusy),
        (exceptions.AdminShutdownError, LedgerAway),
        (exceptions.CannotConnectNowError, LedgerAway),
        (exceptions.QueryCanceledError, LedgerAway),
        (exceptions.TooManyConnectionsError, LedgerAway),
        (exceptions.DiskFullError, LedgerAway),
        (exceptions.ReadOnlySQLTransactionError, LedgerAway),
        (exceptions.ConnectionDoesNotExistError, LedgerAway),
        (exceptions.CharacterNotInRepertoireError, BadRow),
        (exceptions.CheckViolationError, BadRow),
        (exceptions.ProgramLimitExceededError, BadRow),
        (exceptions.DataError, BadRow),
        (exceptions.UndefinedTableError, LedgerMisfit),
        (exceptions.InvalidPasswordError, LedgerMisfit),
        (exceptions.InvalidCatalogNameError, LedgerMisfit),
        (ConnectionRefusedError, LedgerAway),
        (TimeoutError, LedgerAway),
        (asyncio.IncompleteReadError, LedgerAway),
        (exceptions.FeatureNotSupportedError, DayshiftError),
    ],
)
def test_what_errors_mean_to_a_caller(error, expected):
    told = translate(make(error))
    assert type(told) is expected
    assert told.message.endswith((".", "it."))
    if issubclass(expected, LedgerAway):
        assert told.retry_after_seconds == 1.0


@pytest.mark.parametrize(
    ("words", "expected"),
    [
        ("connection is closed", LedgerAway),
        ("pool is closing", LedgerAway),
        ("cannot call Connection.fetch(): connection has been released back to the pool", LedgerAway),
        ("cannot perform operation: another operation is in progress", DayshiftError),
    ],
)
def test_an_interface_error_is_told_by_its_words(words, expected):
    assert type(translate(asyncpg.InterfaceError(words))) is expected


def test_the_border_keeps_the_cause_and_lets_others_pass():
    with pytest.raises(LedgerBusy) as told, translated():
        raise exceptions.DeadlockDetectedError("deadlock detected")
    assert isinstance(told.value.__cause__, exceptions.DeadlockDetectedError)
    with pytest.raises(ZeroDivisionError), translated():
        raise ZeroDivisionError


@pytest.mark.parametrize(
    ("error", "is_thrown_away"),
    [
        (exceptions.ReadOnlySQLTransactionError("the primary has become a standby"), True),
        (exceptions.InvalidSQLStatementNameError("a pooler gave us another session"), True),
        (exceptions.AdminShutdownError("terminating connection"), True),
        (exceptions.LockNotAvailableError("canceling statement due to lock timeout"), False),
        (exceptions.UniqueViolationError("duplicate key"), False),
        (exceptions.InsufficientPrivilegeError("permission denied"), False),
    ],
)
def test_a_session_that_cannot_serve_any_more_is_thrown_away(error, is_thrown_away):
    assert leaves_connection_unsure(error) is is_thrown_away
