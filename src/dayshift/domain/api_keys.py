"""API keys: `dsk_` and 43 random characters. Only the hash is kept, so a copy of the ledger opens no door.

The secret has 256 random bits, so a plain SHA-256 is enough: there is nothing to guess that a slow hash would protect.
"""

import hashlib
import secrets

from msgspec import Struct

from dayshift.domain import ids

SECRET_PREFIX = "dsk_"  # noqa: S105 - the public beginning of every key, for people and for secret scanners
SHOWN_CHARACTERS = len(SECRET_PREFIX) + 6

READ = "read"
SUBMIT = "submit"
ADMIN = "admin"
SCOPES = (READ, SUBMIT, ADMIN)
DEFAULT_SCOPES = (SUBMIT, READ)


class MadeKey(Struct, frozen=True):
    """A key that was just made. `secret` is shown once and stored nowhere; `prefix` names it in lists."""

    id: str
    secret: str
    prefix: str
    hash: bytes


def make_key() -> MadeKey:
    """Make a new key; the caller stores its `id`, `prefix` and `hash`."""
    secret = SECRET_PREFIX + secrets.token_urlsafe(32)
    return MadeKey(ids.new(ids.KEY), secret, secret[:SHOWN_CHARACTERS], hash_of(secret))


def hash_of(secret: str) -> bytes:
    """What the ledger stores of a key, and what a presented key is looked up by."""
    return hashlib.sha256(secret.encode()).digest()
