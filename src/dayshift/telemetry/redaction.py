"""Secrets never reach a log line: one processor goes over every value of every line, an author's own lines included."""

from collections.abc import MutableMapping
from typing import Any

from dayshift.domain.redaction import redacted


def redact(_logger: Any, _method: str, line: MutableMapping[str, Any]) -> dict[str, Any]:
    """A structlog processor: the line without secrets."""
    return {name: redacted(value, name=name) for name, value in line.items()}
