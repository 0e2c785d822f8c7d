"""Previews: the beginning of what an effect was asked, for a person who reads the journal. None are kept unless a setting says so.

Secrets are taken out of the whole before it is cut, so that no cut leaves half of one that nothing recognises any more.
"""

import contextlib
from collections.abc import Callable
from typing import Any

import msgspec

from dayshift.domain.redaction import HIDDEN, redact_text, redacted

DEEPEST = 100


def preview_of(asked: Callable[[], Any], characters: int) -> str | None:
    """So many characters of the JSON of what was asked, without secrets; None of what cannot be told."""
    try:
        return _json(_clean(asked()))[:characters]
    except Exception:  # noqa: BLE001 - what is asked is an author's, and no preview is worth an attempt
        return None


def _clean(value: Any) -> Any:
    return redacted(value, deepest=DEEPEST, text=_clean_text, beyond=lambda _deeper: HIDDEN)


def _clean_text(text: str) -> str:
    """Text that is JSON itself, as models write a tool's arguments, has names that say what is secret."""
    if text.lstrip()[:1] in ("{", "[", '"'):
        with contextlib.suppress(msgspec.DecodeError):  # prose that begins like JSON
            return _json(_clean(msgspec.json.decode(text)))
    return redact_text(text)


def _json(value: Any) -> str:
    return msgspec.json.encode(value).decode()
