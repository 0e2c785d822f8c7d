"""One number that says whether two sides hold the same set of tasks, whatever the order.

It is the sum of the last 48 bits of each id, modulo 2**52: adding or removing a task is one addition, and both Python
and Lua (whose numbers are doubles) count it exactly. `scripts/_held.lua` keeps the same sum on the other side.
"""

from collections.abc import Iterable

MODULUS = 1 << 52
_HEX_DIGITS = 12


def share_of(task_id: str) -> int:
    """What one task adds to the digest."""
    return int(task_id[-_HEX_DIGITS:], 16)


def digest(task_ids: Iterable[str]) -> int:
    """The digest of a set of task ids."""
    return sum(share_of(task_id) for task_id in task_ids) % MODULUS
