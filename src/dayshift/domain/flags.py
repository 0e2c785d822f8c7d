"""Feature flags: which value a task is given (CONTRACT section 6).

A tenant's own value wins. Else the flag's value is for so many percent of the tasks: which, a hash of the flag's name and the
task's id says, so a task stays on its side however often it is asked, those of 5 % are among those of 10 %, and two flags
have nothing to do with each other.
"""

from hashlib import blake2b
from typing import Any

from msgspec import UNSET

from dayshift.domain.settings import Settings

_SIDES = 2**32


def flag_value(settings: Settings, name: str, *, tenant: str, task_id: str) -> Any:
    """What the flag is for this task; UNSET where nothing is said, or not for this one."""
    own = settings.tenant(tenant).flags
    if name in own:
        return own[name]
    flag = settings.flags.get(name)
    if flag is None or side_of(name, task_id) >= flag.percent:
        return UNSET
    return flag.value


def side_of(name: str, task_id: str) -> float:
    """From 0 up to 100, 100 excluded: the task has the flag when its percentage is above."""
    digest = blake2b(f"{name}\0{task_id}".encode(), digest_size=4).digest()
    return int.from_bytes(digest) / _SIDES * 100
