"""Commands about the machine itself: `migrate`, `check`, `doctor`."""

import asyncio
from typing import TYPE_CHECKING, Annotated

from cyclopts import App, Group, Parameter

from dayshift.cli.client import Url
from dayshift.cli.machine import on_ledger
from dayshift.cli.printing import AsJson, print_json

if TYPE_CHECKING:
    from dayshift.cli.findings import Finding


def register(root: App, group: Group) -> None:
    """Put these commands under the root."""
    for command in (migrate, check, doctor):
        root.command(command, group=group)


def migrate(
    *,
    post: Annotated[
        bool, Parameter(negative="", help="Also the steps that older code does not survive: once none of it runs.")
    ] = False,
    as_json: AsJson = False,
) -> None:
    """Bring the database's schema up to date. Safe to run from several machines at once."""
    applied = on_ledger(lambda ledger: ledger.migrate(post=post), schema_must_fit=False)
    if as_json:
        print_json({"applied": applied})
        return
    for name in applied:
        print(name)
    print("the schema is up to date" if not applied else f"{len(applied)} steps applied")


def check(file: str | None = None, /, *, as_json: AsJson = False) -> int:
    """Check that the configuration is valid, that the engines answer, and that the agents of FILE[:NAME] import.

    With FILE also that the keys which the settings' providers name are in the environment. Exit status 1 if anything is broken.
    """
    from dayshift.cli import findings, provider_keys

    config, found = findings.environment()
    if found[0].state == "ok":
        found += asyncio.run(findings.engines(config))
        found += asyncio.run(provider_keys.missing(config, runs_agents=file is not None))
    if file is not None:
        found.append(findings.agents_of(file))
    return _report(found, as_json=as_json)


def doctor(*, url: Url = None, as_json: AsJson = False) -> int:
    """Say what is missing for the next stage, as a list with cures. Exit status 1 if anything is broken now."""
    from dayshift.cli import findings, provider_keys

    config, found = findings.environment()
    if found[0].state == "ok":
        found += asyncio.run(findings.engines(config))
        found += findings.stage(config)
        found += asyncio.run(provider_keys.missing(config))
        found += asyncio.run(findings.clocks(config))
        found += asyncio.run(findings.in_use(config))
        found.append(findings.gateway(config, url))
    return _report(found, as_json=as_json)


def _report(found: "list[Finding]", *, as_json: bool) -> int:
    if as_json:
        print_json({"object": "list", "data": found, "has_more": False})
    else:
        marks = {"ok": "ok     ", "missing": "missing", "broken": "BROKEN "}
        for finding in found:
            print(f"{marks[finding.state]}  {finding.subject}: {finding.what}")
            if finding.cure is not None:
                print(f"         -> {finding.cure}")
    return 1 if any(finding.state == "broken" for finding in found) else 0
