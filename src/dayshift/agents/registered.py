"""An agent, ready to run: its declaration, what its hints say, and how to enter it."""

import inspect
from collections.abc import Callable
from typing import Any

import msgspec

from dayshift.agents.declaration import Declaration
from dayshift.agents.signature import Signature
from dayshift.agents.values import encode_value


class Agent:
    """A function that was declared an agent, with everything that a worker must know to run it."""

    def __init__(self, declaration: Declaration, function: Callable[..., Any], *, is_async: bool) -> None:
        self.name = declaration.name
        self.queue = declaration.queue
        self.timeout_seconds = float(declaration.timeout_seconds)
        self.max_attempts = declaration.max_attempts
        self.strict = declaration.strict
        self.pin = declaration.pin
        self.function = function
        self.is_async = is_async
        self.signature = Signature(declaration.name, function)

    @property
    def options(self) -> bytes:
        """The options of `@agent` as JSON, for the registry."""
        return msgspec.json.encode(
            {
                "description": inspect.getdoc(self.function) or "",
                "timeout": self.timeout_seconds,
                "max_attempts": self.max_attempts,
                "strict": self.strict,
                "pin": self.pin,
            }
        )

    def call(self, context: Any, arguments: dict[str, Any]) -> Any:
        """Enter the function: gives its coroutine, or its result if it is a plain one."""
        if self.signature.takes_context:
            return self.function(context, **arguments)
        return self.function(**arguments)

    @staticmethod
    def encode_output(value: Any) -> bytes:
        """The result as JSON; raises Unencodable."""
        return encode_value(value)
