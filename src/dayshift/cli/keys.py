"""`dayshift keys`: API keys, made on the machine's own ledger. A new key is printed once."""

import re
import sys
from datetime import datetime
from typing import TYPE_CHECKING, Annotated, Literal

from cyclopts import App, Parameter

from dayshift.cli.groups import OPERATION
from dayshift.cli.machine import change_ledger, on_ledger
from dayshift.cli.printing import AsJson, ago, print_json, print_table
from dayshift.domain import api_keys, ids
from dayshift.domain.clock import now
from dayshift.domain.errors import NotFound, WrongUse

if TYPE_CHECKING:
    from dayshift.ledger import KeyRow, Ledger

app = App(name="keys", help="Make, list and revoke API keys, on this machine's PostgreSQL.", group=OPERATION)

PAGE = 100
_TENANT = re.compile(r"[^\x00-\x1f*]{1,200}")

Scope = Literal["read", "submit", "admin"]


@app.command
def create(
    *,
    tenant: Annotated[str, Parameter(help="Whom the key belongs to.")],
    scope: Annotated[
        list[Scope] | None, Parameter(help="What it may do; repeat it for several. Default: submit, read.")
    ] = None,
    expires_at: Annotated[datetime | None, Parameter(help="When it ends, as 2027-01-31T12:00:00+00:00.")] = None,
    as_json: AsJson = False,
) -> None:
    """Make a key. It is printed once, alone on stdout, and stored nowhere."""
    from dayshift.ledger import NewKey

    expires_at = _checked_end(expires_at)
    if not _TENANT.fullmatch(tenant):
        raise WrongUse("--tenant must have 1 to 200 characters, none of them a control character or *.")
    made = api_keys.make_key()
    scopes = sorted(set(scope or api_keys.DEFAULT_SCOPES), key=api_keys.SCOPES.index)
    key = NewKey(id=made.id, hash=made.hash, prefix=made.prefix, tenant=tenant, scopes=scopes, expires_at=expires_at)
    change_ledger(lambda ledger: ledger.keys.create(key))
    if as_json:
        print_json({"id": made.id, "key": made.secret, "tenant": tenant, "scopes": scopes})
        return
    print(made.secret)
    print(f"{made.id} for tenant {tenant}; keep it, it is not shown again", file=sys.stderr)


@app.command(name="ls")
def list_keys(*, tenant: str | None = None, as_json: AsJson = False) -> None:
    """List keys, newest first; revoked ones too."""

    async def every(ledger: "Ledger") -> "list[KeyRow]":
        rows = page = await ledger.keys.list(tenant, limit=PAGE)
        while len(page) == PAGE:
            page = await ledger.keys.list(tenant, limit=PAGE, after=page[-1].id)
            rows = rows + page
        return rows

    rows = on_ledger(every)
    if as_json:
        print_json({"object": "list", "data": rows, "has_more": False})
        return
    print_table(
        ("id", "begins with", "tenant", "scopes", "created", "last used", "state"),
        (
            (row.id, row.prefix, row.tenant, row.scopes, ago(row.created_at), ago(row.last_used_at), _state(row))
            for row in rows
        ),
        nothing="no keys; make one with `dayshift keys create --tenant NAME`",
    )


@app.command
def revoke(key: str, /) -> None:
    """Revoke a key, by its id. Every gateway refuses it within a second."""
    if not ids.is_valid(ids.KEY, key):
        raise NotFound(f"There is no key {key[:60]!r}; `dayshift keys ls` shows their ids.")
    change_ledger(lambda ledger: ledger.keys.revoke(key))
    print(f"{key} revoked")


def _checked_end(expires_at: datetime | None) -> datetime | None:
    if expires_at is None:
        return None
    aware = expires_at if expires_at.tzinfo else expires_at.astimezone()
    if aware <= now():
        raise WrongUse(f"--expires-at {aware:%Y-%m-%d %H:%M} lies in the past; name a later time.")
    return aware


def _state(row: "KeyRow") -> str:
    if row.revoked_at is not None:
        return "revoked"
    if row.expires_at is None:
        return "active"
    return "expired" if row.expires_at <= now() else f"until {row.expires_at.astimezone():%Y-%m-%d %H:%M}"
