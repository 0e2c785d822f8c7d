"""Who the servers run as. PostgreSQL refuses to run as root, so root must become somebody; others stay who they are."""

import os
import pwd
from typing import Literal

from msgspec import Struct

from dayshift.domain.errors import WrongUse

RunAs = Literal["own", "namespace", "nobody"]


class Identity(Struct, frozen=True, kw_only=True):
    """The user of a server process: ours, ours inside a user namespace, or another one by number."""

    name: str
    uid_in_namespace: int | None = None
    uid: int | None = None
    gid: int | None = None

    @property
    def is_foreign(self) -> bool:
        """Whether the server may be unable to reach what we can reach."""
        return self.uid_in_namespace is not None or self.uid is not None


OWN = Identity(name="the user who started it")


def identities(data_owner: int | None, forced: RunAs | None = None) -> list[Identity]:
    """The candidates in the order to try. `data_owner` is the uid that owns data of an earlier start.

    Data that exists decides: a namespace keeps it ours, another user keeps it theirs.
    """
    if forced is not None:
        return [_forced(forced)]
    if os.geteuid() != 0:
        return [OWN]
    if data_owner is None:
        return [_namespace(), *_nobody()]
    return [_namespace()] if data_owner == 0 else [_of_uid(data_owner)]


def _forced(run_as: RunAs) -> Identity:
    if run_as == "nobody":
        for identity in _nobody():
            return identity
        raise WrongUse("This system has no user named nobody to run PostgreSQL as.")
    return _namespace() if run_as == "namespace" else OWN


def _namespace() -> Identity:
    """The uid inside must be one with a name, as initdb asks for it; which one, nobody outside can see."""
    named = [entry.pw_uid for entry in pwd.getpwall() if entry.pw_uid != 0]
    return Identity(name="an ordinary user of a user namespace", uid_in_namespace=min(named, default=1000))


def _nobody() -> list[Identity]:
    try:
        entry = pwd.getpwnam("nobody")
    except KeyError:
        return []
    return [Identity(name="nobody", uid=entry.pw_uid, gid=entry.pw_gid)]


def _of_uid(uid: int) -> Identity:
    try:
        entry = pwd.getpwuid(uid)
    except KeyError:
        return Identity(name=f"uid {uid}", uid=uid, gid=uid)
    return Identity(name=entry.pw_name, uid=uid, gid=entry.pw_gid)
