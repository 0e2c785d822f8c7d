"""How much of a shared limit do four workers use, and how often does the provider refuse?

More work than the limit allows, as counted by the provider's own books from the second minute on. Beside it, in the same run, four
clients with nothing but their SDK's retries. Use alone proves nothing, as hammering uses everything: the share of answers that
are 429s, the errors that callers see and the fullest minute decide.
"""

import contextlib
import json
import statistics
import subprocess
import sys
import tempfile
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import msgspec

from benchmarks import harness
from benchmarks.harness.measuring import Figures
from benchmarks.sharing import KEY, Plan
from dayshift.domain.provider_settings import ProviderLimits
from dayshift.embedded import start_engines

NAME = "shared_limit"
QUESTION = "How much of a shared limit do four workers use, and how often does the provider refuse?"
WORKERS = 4
LATENCY = "lognormal:0.9,0.4"
STOLEN_SHARE = 0.3


class Load(msgspec.Struct, frozen=True, kw_only=True):
    """What binds, and what calls are like; `outputs` are the lengths of the answers, one model each. `burst_seconds` is the depth of
    the provider's bucket: a minute's worth is the default of `dayshift fakellm`, a shallow one forgives less.
    """

    bound_by: str
    limits: dict[str, int]
    outputs: list[int]
    prompt_characters: int = 400
    burst_seconds: float = 1.0
    thief: bool = False


def _heavy_tail() -> list[int]:
    """A hundred equally likely lengths: half are below 100 tokens, one in a hundred is about 1,600."""
    normal = statistics.NormalDist(4.6, 1.2)
    return [max(1, round(2.718281828 ** normal.inv_cdf((number + 0.5) / 100))) for number in range(100)]


REQUESTS = {"requests_per_minute": 600}
TOKENS = {"tokens_per_minute": 60_000}
LOADS = {
    "request-bound": Load(bound_by="requests", limits=REQUESTS, outputs=[50]),
    "token-bound": Load(bound_by="tokens", limits=TOKENS, outputs=[100], prompt_characters=1_200),
    "two models": Load(bound_by="requests", limits={**REQUESTS, "tokens_per_minute": 120_000}, outputs=[40, 120]),
    "heavy tail": Load(bound_by="tokens", limits=TOKENS, outputs=_heavy_tail(), burst_seconds=60.0),
    "heavy tail, shallow bucket": Load(bound_by="tokens", limits=TOKENS, outputs=_heavy_tail(), burst_seconds=2.0),
    "thief": Load(bound_by="requests", limits=REQUESTS, outputs=[50], burst_seconds=2.0, thief=True),
}


@contextlib.contextmanager
def limited_provider() -> Iterator[str]:
    """A provider whose limits are set for each run; answers its URL."""
    command = [sys.executable, "-m", "dayshift.fakellm", "--port", "0", "--latency", LATENCY, "--seed", "1"]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
    try:
        assert process.stdout is not None
        yield process.stdout.readline().strip()
    finally:
        process.terminate()
        process.wait()


def ask_provider(url: str, path: str, body: Any = None) -> Any:
    data = None if body is None else json.dumps(body).encode()
    request = urllib.request.Request(url + path, data, {"Content-Type": "application/json"})
    with urllib.request.urlopen(request, timeout=10) as answer:
        return json.loads(answer.read() or b"null")


def _command(way: str, plan: Plan, valkey_url: str, provider_url: str) -> list[str]:
    text = msgspec.json.encode(plan).decode()
    return [sys.executable, "-m", "benchmarks.sharing", way, text, valkey_url, provider_url]


def measure(
    way: str, load: Load, urls: tuple[str, str], *, seconds: float, from_seconds: float, window: float = 60.0
) -> Figures:
    """One run of four workers; `urls` are Valkey's and the provider's."""
    valkey_url, provider_url = urls
    models = [f"m{length}" for length in load.outputs]
    rules = [{"model": f"m{length}", "output_tokens": length} for length in sorted(set(load.outputs))]
    ask_provider(provider_url, "/_fake/script", {"rules": [*rules, {"output_tokens": 50}]})
    ask_provider(provider_url, "/_fake/limits", {"keys": {KEY: {**load.limits, "burst_seconds": load.burst_seconds}}})
    plan = Plan(
        limits=ProviderLimits(**load.limits, window=window),
        models=models,
        prompt_characters=load.prompt_characters,
        seconds=seconds,
        from_seconds=from_seconds,
        per_minute=STOLEN_SHARE * load.limits.get("requests_per_minute", 0),
    )
    ways = [way] * WORKERS + ["thief"] * load.thief
    processes = [
        subprocess.Popen(
            _command(each, msgspec.structs.replace(plan, seed=number), valkey_url, provider_url),
            stdout=subprocess.PIPE,
            text=True,
            cwd=harness.ROOT,
        )
        for number, each in enumerate(ways)
    ]
    told = [json.loads(process.communicate(timeout=seconds + 60)[0]) for process in processes][:WORKERS]
    books = ask_provider(provider_url, f"/_fake/books?from={int(from_seconds)}&to={int(seconds)}")
    return _figures(load, told, books["accounts"][0], seconds - from_seconds)


def _figures(load: Load, told: list[dict[str, float]], account: dict[str, Any], seconds: float) -> Figures:
    limit = account["limit"][load.bound_by]
    served = account["sum"][load.bound_by]
    stolen = account["models"].get("stolen", {}).get(load.bound_by, 0)
    answers = sum(each["answers"] for each in told)
    return {
        "used_percent": 100 * (served - stolen) / (limit * seconds / 60 - stolen),
        "refused_percent": 100 * sum(each["refused"] for each in told) / max(1, answers),
        "failed_calls": sum(each["failed"] for each in told),
        "fullest_minute_percent": 100 * account["highest_minute"][load.bound_by] / limit,
        "stolen_percent": 100 * stolen / (limit * seconds / 60),
        "answers": answers,
        "cpu_ms_per_answer": 1000 * sum(each["cpu_seconds"] for each in told) / max(1, answers),
    }


def ask(effort: harness.Effort) -> harness.Report:
    seconds, from_seconds = effort.of(300, 8), effort.of(60, 3)
    cases: dict[str, harness.Case] = {}
    with tempfile.TemporaryDirectory(prefix="dayshift-bench-") as folder, limited_provider() as provider_url:
        engines = start_engines(Path(folder))
        try:
            urls = (engines.valkey_url, provider_url)
            for name, load in LOADS.items():
                for way in ("limiter", "naive"):
                    run = measure(way, load, urls, seconds=seconds, from_seconds=from_seconds)
                    cases[f"{name}, {way}"] = harness.Case([run])
        finally:
            engines.stop()
    lines = [
        harness.line(f"{name}, {what}", unit, cases[f"{name}, limiter"], figure, floor=cases[f"{name}, naive"])
        for name in LOADS
        for what, unit, figure in (
            ("used", "%", "used_percent"),
            ("answered 429", "%", "refused_percent"),
            ("fullest minute", "%", "fullest_minute_percent"),
            ("errors to callers", "calls", "failed_calls"),
        )
    ]
    return harness.Report(
        name=NAME, question=QUESTION, lines=lines, floor="four clients without a limiter, with the retries of their SDK"
    ).with_runs(cases, window_seconds=60, workers=WORKERS, provider_latency=LATENCY)
