"""A task that another one called: what it is to run, and how it ended."""

from msgspec import Struct

from dayshift.domain.task import Status


class Child(Struct, frozen=True):
    """A task to be: its agent and queue, and its input as JSON."""

    agent: str
    queue: str
    input: bytes


class ChildEnd(Struct, frozen=True):
    """How a child ended. `status` is None when it was erased meanwhile."""

    status: Status | None
    output: bytes | None
    error_code: str | None
    error_message: str | None
