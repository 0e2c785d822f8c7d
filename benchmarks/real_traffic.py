"""What does real traffic wait for, whose peaks are three times the provider's limit?

Each row of a trace is a task with one LLM call of the row's tokens, submitted through the gateway at its moment. A trace's cut is
compressed into three minutes, and the provider enforces limits of requests and of tokens that are 1/0.7 of what comes in the mean. `peak`
says over how many seconds at a time three times the limit comes: no speed makes a steady trace bursty.

Told for each trace: what was lost, failed or refused; the provider's fullest minute; how long tasks waited, by priority and by tenant, and
beside it the mean wait of an ideal line, which gives the limit out as it comes. Needs ../shared/data/traces.
"""

import asyncio
import statistics
import time
from collections import defaultdict
from typing import Any

import asyncpg
import httpx2
import msgspec

from benchmarks import harness
from benchmarks.harness import traces
from benchmarks.harness.ledger import until
from benchmarks.harness.measuring import Figures
from benchmarks.harness.traces import Arrival
from benchmarks.shared_limit import ask_provider, limited_provider
from dayshift.domain.task import Timing

NAME = "real_traffic"
QUESTION = "What does real traffic wait for, whose peaks are three times the provider's limit?"
MEAN_SHARE, PEAK_RATIO = 0.7, 3.0
WORKERS, SLOTS, GATEWAYS = 2, 400, 1
KEY = "sk-real"
LENGTHS = sorted({round(1.3**power) for power in range(30)})
CHARACTERS_A_TOKEN = 4

_TASKS = "SELECT tenant, priority, status, attempt, timing FROM tasks WHERE agent = 'one_call'"


def _length(tokens: int) -> int:
    """The next of the lengths that the provider has a rule for."""
    return next((length for length in LENGTHS if length >= tokens), LENGTHS[-1])


def _body(arrival: Arrival, number: int) -> dict[str, Any]:
    prompt = f"{number} ".ljust(arrival.input_tokens * CHARACTERS_A_TOKEN, "x")
    asked = {"prompt": prompt, "mark": f"answer <{_length(arrival.output_tokens)}>"}
    return {"agent": "one_call", "input": asked, "priority": arrival.priority}


async def _keys(served: harness.Served, tenants: list[str]) -> dict[str, str]:
    found = {}
    for tenant in tenants:
        await harness.request_json(served, "PUT", f"/v1/settings/tenants.{tenant}.max_queued", {"value": 1_000_000})
        made = await harness.request_json(served, "POST", "/v1/keys", {"tenant": tenant, "scopes": ["submit"]})
        found[tenant] = made["key"]
    return found


async def _submit_all(served: harness.Served, arrivals: list[Arrival], keys: dict[str, str]) -> int:
    """Each at its moment, whatever became of those before; how many were accepted."""
    limits = httpx2.Limits(max_connections=None, max_keepalive_connections=100)
    async with httpx2.AsyncClient(base_url=f"http://{served.host}:{served.port}", timeout=60, limits=limits) as http:

        async def one(number: int, arrival: Arrival) -> bool:
            headers = {"Authorization": f"Bearer {keys[arrival.tenant]}"}
            answer = await http.post("/v1/tasks", json=_body(arrival, number), headers=headers)
            return answer.status_code == 202

        begun, sent = time.monotonic(), list[asyncio.Task[bool]]()
        for number, arrival in enumerate(arrivals):
            await asyncio.sleep(max(0.0, begun + arrival.at - time.monotonic()))
            sent.append(asyncio.create_task(one(number, arrival)))
        return sum(await asyncio.gather(*sent))


async def _ended(served: harness.Served, accepted: int) -> list[asyncpg.Record]:
    connection = await asyncpg.connect(served.database_url)
    try:
        over = f"SELECT count(*) FROM ({_TASKS}) t WHERE status IN ('succeeded', 'failed', 'cancelled')"
        await until(connection, accepted, over)
        return list(await connection.fetch(_TASKS))
    finally:
        await connection.close()


def _waits(rows: list[asyncpg.Record], by: str) -> dict[Any, list[float]]:
    """The seconds that each task waited for a slot and for the limit."""
    found: dict[Any, list[float]] = defaultdict(list)
    for row in rows:
        timing = msgspec.json.decode(row["timing"], type=Timing)
        found[row[by]].append(timing.queued + timing.llm_wait)
    return found


def _figures(arrivals: list[Arrival], accepted: int, rows: list[asyncpg.Record], account: dict[str, Any]) -> Figures:
    by_priority, by_tenant = _waits(rows, "priority"), _waits(rows, "tenant")
    waited = [seconds for several in by_priority.values() for seconds in several]
    greediest = next(iter(traces.tenants_of(arrivals)))
    modest = [seconds for tenant, several in by_tenant.items() if tenant != greediest for seconds in several]
    statuses = [row["status"] for row in rows]
    calls = account["sum"]["requests"]
    refused = sum(count for name, count in account["sum"].items() if name.startswith("refused"))
    return {
        "tasks": len(arrivals),
        "lost": len(arrivals) - len(rows),
        "failed": len(rows) - statuses.count("succeeded"),
        "accepted": accepted,
        "calls": calls,
        "refused_percent": 100 * refused / max(1, calls + refused),
        "fullest_minute_percent": max(
            100 * account["highest_minute"][kind] / account["limit"][kind] for kind in ("requests", "tokens")
        ),
        "wait_mean_s": statistics.mean(waited),
        "wait_p95_s": harness.percentile(waited, 0.95),
        **{
            f"wait_p95_priority_{level}_s": harness.percentile(by_priority[level], 0.95)
            for level in sorted(by_priority)
        },
        "wait_mean_greediest_s": statistics.mean(by_tenant[greediest]),
        "wait_mean_others_s": statistics.mean(modest),
    }


def replay(arrivals: list[Arrival]) -> tuple[Figures, Figures]:
    """One trace through a fleet of its own; its figures, and those of the ideal line."""
    seconds = arrivals[-1].at
    per_second = len(arrivals) / seconds / MEAN_SHARE
    tokens_per_second = sum(each.input_tokens + _length(each.output_tokens) for each in arrivals) / seconds / MEAN_SHARE
    limits = {"requests_per_minute": round(60 * per_second), "tokens_per_minute": round(60 * tokens_per_second)}
    rules = [{"contains": f"<{length}>", "output_tokens": length} for length in LENGTHS]
    with limited_provider() as url:
        ask_provider(url, "/_fake/script", {"rules": rules})
        ask_provider(url, "/_fake/limits", {"keys": {KEY: {**limits, "burst_seconds": 10}}})
        variables = {"OPENAI_BASE_URL": f"{url}/v1", "OPENAI_API_KEY": KEY}
        with harness.serve(gateways=GATEWAYS, workers=WORKERS, slots=SLOTS, variables=variables) as served:
            harness.run(harness.configure(served, "providers.openai", value={"limits": limits}))
            keys = harness.run(_keys(served, list(traces.tenants_of(arrivals))))
            accepted = harness.run(_submit_all(served, arrivals, keys))
            rows = harness.run(_ended(served, accepted))
            account = ask_provider(url, "/_fake/books")["accounts"][0]
    ideal = traces.ideal_waits(arrivals, per_second, tokens_per_second)
    floor = {"wait_mean_s": statistics.mean(ideal), "wait_p95_s": harness.percentile(ideal, 0.95)}
    peak = {"peak_s": traces.peak_seconds(arrivals, PEAK_RATIO / MEAN_SHARE)}
    return _figures(arrivals, accepted, rows, account) | peak, floor


def ask(effort: harness.Effort) -> harness.Report:
    if not traces.is_there():
        raise FileNotFoundError(
            f"{traces.FOLDER} is not there: the traces lie beside the project, and are no part of it"
        )
    seconds, cut = effort.of(180, 12), effort.of(1, 15)
    every = {
        "Azure, code": traces.azure("azure_llm_2023_code_min00-20.csv.gz", 1_200 / cut),
        "Azure, conversations": traces.azure("azure_llm_2023_conv.csv.gz", 700 / cut),
        "Mooncake": traces.mooncake(1_200 / cut),
        "ServeGen, a day": traces.servegen(3_600 // cut),
    }
    cases: dict[str, harness.Case] = {}
    lines: list[harness.Line] = []
    for name, arrivals in every.items():
        figures, floor = replay(traces.replayed_in(arrivals, seconds))
        case, ideal = harness.Case([figures]), harness.Case([floor])
        cases |= {name: case, f"{name}, ideal": ideal}
        lines += [
            harness.line(f"{name}, wait, mean", "s", case, "wait_mean_s", floor=ideal),
            harness.line(f"{name}, wait, p95", "s", case, "wait_p95_s", floor=ideal),
            *(
                harness.line(f"{name}, {what}", unit, case, figure)
                for what, unit, figure in (
                    ("lost", "tasks", "lost"),
                    ("failed", "tasks", "failed"),
                    ("answered 429", "%", "refused_percent"),
                    ("fullest minute", "%", "fullest_minute_percent"),
                    ("priority 9 waits, p95", "s", "wait_p95_priority_9_s"),
                    ("priority 1 waits, p95", "s", "wait_p95_priority_1_s"),
                    ("the greediest waits, mean", "s", "wait_mean_greediest_s"),
                    ("the others wait, mean", "s", "wait_mean_others_s"),
                )
            ),
        ]
    floor_is = "a line that gives the limit out as it comes, first come first served"
    return harness.Report(name=NAME, question=QUESTION, lines=lines, floor=floor_is).with_runs(
        cases, workers=WORKERS, slots=SLOTS, mean_share=MEAN_SHARE, peak_ratio=PEAK_RATIO
    )
