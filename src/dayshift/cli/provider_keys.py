"""Whether the keys of the providers are there: the settings name environment variables, and only a machine knows its own."""

from dayshift.cli.findings import Finding, State
from dayshift.cli.machine import located
from dayshift.config import Config, secret_named
from dayshift.domain.errors import DayshiftError
from dayshift.domain.provider_settings import ProviderSettings
from dayshift.ledger import Ledger
from dayshift.settings import LiveSettings


async def missing(config: Config, *, runs_agents: bool = False) -> list[Finding]:
    """The variables that this environment lacks. Where agents run, a provider without any key is broken; a gateway needs none.
    Nothing when PostgreSQL does not answer or has no schema yet: that is told elsewhere.
    """
    url = located(config).database_url
    if url is None:
        return []
    try:
        async with Ledger(url, pool_size=1) as ledger:
            if await ledger.schema_state() == "behind":
                return []
            settings = await LiveSettings(ledger).load()
    except DayshiftError:
        return []
    found = (_of_provider(name, said, runs_agents=runs_agents) for name, said in sorted(settings.providers.items()))
    return [finding for finding in found if finding is not None]


def _of_provider(name: str, said: ProviderSettings, *, runs_agents: bool) -> Finding | None:
    variables = said.api_key_variables
    absent = [variable for variable in variables if secret_named(variable) is None]
    if not absent:
        return None
    what = f"providers.{name}.api_key names {', '.join(absent)}, which this environment does not have"
    if len(absent) < len(variables):
        what += f"; the other {len(variables) - len(absent)} of its keys have to do"
    state: State = "broken" if runs_agents and len(absent) == len(variables) else "missing"
    cure = f"set {' and '.join(absent)} where workers are started, or change providers.{name}.api_key"
    return Finding("provider key", state, what, cure)
