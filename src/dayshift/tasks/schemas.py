"""An agent's input schema at work: compiled once, and lenient about one thing only.

An agent with a single parameter also takes its bare value. By name wins: `{"order": 1}` is the parameter `order`, also
where the parameter itself could be an object.
"""

from functools import lru_cache
from typing import Any

import jsonschema_rs
import msgspec

from dayshift.domain.errors import FieldError, WrongUse
from dayshift.tasks.inputs import refused
from dayshift.tasks.json_values import shortened

_MOST_ERRORS = 20


class InputSchema:
    """The JSON Schema of an agent's parameters, as an object by name."""

    def __init__(self, schema: bytes) -> None:
        parsed = msgspec.json.decode(schema)
        try:
            self._validator = jsonschema_rs.validator_for(parsed, retriever=_refuse_to_fetch)
        except (ValueError, jsonschema_rs.ValidationError) as error:
            raise WrongUse(f"the input schema of this agent cannot be used: {shortened(str(error))}") from None
        self._parameters: list[str] = list(parsed.get("properties", {}))
        self._needs_nothing = not parsed.get("required")

    def normalised(self, value: Any, raw: bytes) -> bytes:
        """The input as an object of parameters by name, as JSON. Raises `InvalidInput` with paths below `input`."""
        if self._validator.is_valid(value):
            return raw
        if value is None and self._needs_nothing and not self._takes_bare(value):
            return b"{}"
        if self._takes_bare(value):
            return msgspec.json.encode({self._parameters[0]: msgspec.Raw(raw)})
        raise refused(self._faults(value))

    def _takes_bare(self, value: Any) -> bool:
        return len(self._parameters) == 1 and self._validator.is_valid({self._parameters[0]: value})

    def _faults(self, value: Any) -> list[FieldError]:
        """The faults of the form that the caller most likely meant."""
        meant_bare = len(self._parameters) == 1 and not isinstance(value, dict)
        return self._listed({self._parameters[0]: value} if meant_bare else value)

    def _listed(self, value: Any) -> list[FieldError]:
        faults = []
        for error in self._validator.iter_errors(value):
            faults.append(FieldError(_path_text(error.instance_path), shortened(_message(error))))
            if len(faults) == _MOST_ERRORS:
                break
        return faults


def _message(error: jsonschema_rs.ValidationError) -> str:
    """What is wrong; of a value that may be one of several things, why it is none of them: `X | None` says so little else."""
    branches = getattr(error.kind, "context", None) or ()
    reasons = [one for branch in branches for one in branch]
    if not reasons or any(one.instance_path != error.instance_path for one in reasons):
        message: str = error.message
        return message
    return ", and ".join(dict.fromkeys(_message(one) for one in reasons))


@lru_cache(maxsize=1_000)
def input_schema(schema: bytes) -> InputSchema:
    """The compiled form of a schema; versions of an agent that did not change theirs share it."""
    return InputSchema(schema)


def _path_text(steps: list[str | int]) -> str:
    return "input" + "".join(f"[{step}]" if isinstance(step, int) else f".{step}" for step in steps)


def _refuse_to_fetch(uri: str) -> Any:
    raise ValueError(f"a schema must be complete in itself; {uri} is not fetched")
