"""Digests: what stands for a content that is too long to be kept or compared."""

from hashlib import blake2b

CONTENT_BYTES = 16
PART_BYTES = 4


def content_digest(content: bytes) -> bytes:
    """16 bytes that no two contents share."""
    return blake2b(content, digest_size=CONTENT_BYTES).digest()


def part_digest(part: bytes) -> str:
    """Eight hexadecimal digits that differ when the part does."""
    return blake2b(part, digest_size=PART_BYTES).hexdigest()
