"""Errors on their way into the journal and out of it again."""

import httpx2
import pytest

from dayshift import Fatal, Retry, ToolUnavailable
from dayshift.agents.failures import ReplayedError, encode_failure, raise_recorded


class Declined(Exception):
    """Made of other arguments than it keeps."""

    def __init__(self, order: str, *, cents: int) -> None:
        super().__init__(f"order {order} was declined")
        self.cents = cents


class Holds(Exception):
    """Keeps what JSON cannot say."""

    def __init__(self, message: str) -> None:
        super().__init__(message)
        self.held = object()


class Asks(Holds):
    def __init__(self, message: str, other: int) -> None:
        super().__init__(f"{message} {other}")


def replayed(error: Exception) -> Exception:
    with pytest.raises(Exception) as raised:
        raise_recorded(encode_failure(error))
    return raised.value


@pytest.mark.parametrize(
    "error",
    [
        KeyError("order", 7),
        FileNotFoundError(2, "No such file or directory", "a.txt"),
        Retry(after=5, message="busy"),
        Retry(),
        Fatal("no such order"),
        ToolUnavailable(2.5, "tool pay fails too often"),
        Declined("a", cents=7),
        Holds("kept"),
        httpx2.ConnectError("nobody there"),
    ],
    ids=lambda error: type(error).__name__,
)
def test_an_error_is_caught_again_by_its_class_and_says_the_same(error):
    again = replayed(error)
    assert type(again) is type(error)
    assert (str(again), again.args) == (str(error), error.args)


def test_what_an_error_carries_comes_back():
    again = replayed(Retry(after=5, message="busy"))
    assert isinstance(again, Retry)
    assert (again.after, again.message) == (5.0, "busy")
    again = replayed(Declined("a", cents=7))
    assert isinstance(again, Declined)
    assert again.cents == 7


def test_an_error_that_cannot_be_made_again_is_named():
    class Local(Exception):
        pass

    for error, name in ((Asks("why", 7), "Asks: why 7"), (Local("here"), "Local: here")):
        again = replayed(error)
        assert isinstance(again, ReplayedError)
        assert str(again).endswith(name)
