"""Real arrivals, from ../shared/data/traces (its README says whose they are): when, for whom, how urgent, how many tokens.

A cut of each trace is compressed into the time of a replay. No public trace says who is a tenant of whom, but ServeGen's, whose clients are
real; the rows of the others are dealt out by chance to five tenants, of whom the first has half. One row in ten is urgent (priority 9), two in ten may
wait (priority 1).
"""

import csv
import gzip
import itertools
import json
import random
from collections.abc import Callable, Iterator

import msgspec

from benchmarks.harness.serving import ROOT

FOLDER = ROOT.parent / "shared" / "data" / "traces"
SHARES = {"greedy": 0.5, "b": 0.2, "c": 0.15, "d": 0.1, "e": 0.05}
PRIORITIES = (9, 5, 5, 5, 5, 5, 5, 5, 1, 1)
LONG_PROMPT_SHARE = 0.1  # of Mooncake's prompts: they are of up to 120,000 tokens
MOONCAKE_STEP_MS = 3_000


class Arrival(msgspec.Struct, frozen=True):
    """A request of a trace; `at` in seconds, of the trace and later of the replay."""

    at: float
    tenant: str
    priority: int
    input_tokens: int
    output_tokens: int


def is_there() -> bool:
    return FOLDER.is_dir()


def azure(name: str, seconds: float) -> list[Arrival]:
    """The first so many seconds of a trace of Azure's (CC-BY-4.0)."""
    draw, found, begin = random.Random(name), list[Arrival](), None
    with gzip.open(FOLDER / name, "rt") as lines:
        for row in csv.DictReader(lines):
            at = _seconds(row["TIMESTAMP"])
            begin = at if begin is None else begin
            if at - begin > seconds:
                break
            found.append(_dealt(draw, at - begin, int(row["ContextTokens"]), int(row["GeneratedTokens"])))
    return found


def mooncake(seconds: float) -> list[Arrival]:
    """Conversations of Kimi's (Apache-2.0). Their times are whole steps: the requests of a step are spread over it."""
    draw, found = random.Random("mooncake"), list[Arrival]()
    with gzip.open(FOLDER / "mooncake_fast25_conversation_min00-30.jsonl.gz", "rt") as lines:
        for row in map(json.loads, lines):
            at = (row["timestamp"] + draw.uniform(0, MOONCAKE_STEP_MS)) / 1000
            if at <= seconds:
                found.append(_dealt(draw, at, round(row["input_length"] * LONG_PROMPT_SHARE), row["output_length"]))
    return sorted(found, key=lambda arrival: arrival.at)


def servegen(requests: int) -> list[Arrival]:
    """About so many requests of a day of 43 paying customers (Apache-2.0): Poisson arrivals at each one's rate of each ten minutes, which
    is burstier than its day and calmer than its seconds.
    """
    draw, found = random.Random("servegen"), list[Arrival]()
    with gzip.open(FOLDER / "servegen_m-small_day09_client_rates.csv.gz", "rt") as lines:
        rates = [(row["client"], float(row["t_s"]), float(row["rate_rps"])) for row in csv.DictReader(lines)]
    tokens = _tokens_of_clients()
    begin, scale = min(at for _, at, _ in rates), requests / sum(600 * rate for _, _, rate in rates)
    for client, at, rate in rates:
        lengths = tokens.get(client) or tokens[draw.choice(sorted(tokens))]
        for when in _poisson(draw, rate * scale, 600):
            given, made = lengths(draw)
            found.append(Arrival(at - begin + when, f"client-{client}", draw.choice(PRIORITIES), given, made))
    return sorted(found, key=lambda arrival: arrival.at)


def _poisson(draw: random.Random, per_second: float, seconds: float) -> Iterator[float]:
    at = draw.expovariate(per_second) if per_second > 0 else seconds
    while at < seconds:
        yield at
        at += draw.expovariate(per_second)


def _tokens_of_clients() -> dict[str, Callable[[random.Random], tuple[int, int]]]:
    found: dict[str, Callable[[random.Random], tuple[int, int]]] = {}
    with gzip.open(FOLDER / "servegen_m-small_day09_token_pmfs.jsonl.gz", "rt") as lines:
        for row in map(json.loads, lines):
            given, made = row["input_tokens"], row["output_tokens"]
            if given and made:
                found[str(row["client"])] = lambda draw, given=given, made=made: (
                    _drawn(draw, given),
                    _drawn(draw, made),
                )
    return found


def _drawn(draw: random.Random, mass: dict[str, float]) -> int:
    return max(1, int(float(draw.choices(list(mass), list(mass.values()))[0])))


def _dealt(draw: random.Random, at: float, given: int, made: int) -> Arrival:
    (tenant,) = draw.choices(list(SHARES), list(SHARES.values()))
    return Arrival(at, tenant, draw.choice(PRIORITIES), max(1, given), max(1, made))


def _seconds(stamp: str) -> float:
    """Of the day; the traces lie within one."""
    hours, minutes, seconds = stamp.split(" ")[1].split(":")
    return int(hours) * 3600 + int(minutes) * 60 + float(seconds)


def replayed_in(arrivals: list[Arrival], seconds: float) -> list[Arrival]:
    """The same in so many seconds."""
    speed = (arrivals[-1].at - arrivals[0].at) / seconds
    begin = arrivals[0].at
    return [msgspec.structs.replace(arrival, at=(arrival.at - begin) / speed) for arrival in arrivals]


def peak_seconds(arrivals: list[Arrival], ratio: float) -> float:
    """The longest time in which requests come at so many times their mean; 0 when there is none."""
    per_second = len(arrivals) / (arrivals[-1].at - arrivals[0].at)
    for tenths in range(300, 0, -1):
        window, first = tenths / 10, 0
        for last, arrival in enumerate(arrivals):
            while arrivals[first].at < arrival.at - window:
                first += 1
            if last - first + 1 >= ratio * per_second * window and last > first:
                return window
    return 0.0


def ideal_waits(arrivals: list[Arrival], per_second: float, tokens_per_second: float) -> list[float]:
    """Of one line, first come first served, that gives both limits out as they come."""
    free_requests, free_tokens, waits = 0.0, 0.0, list[float]()
    for arrival in arrivals:
        start = max(free_requests, free_tokens, arrival.at)
        waits.append(start - arrival.at)
        free_requests = max(free_requests, arrival.at) + 1 / per_second
        free_tokens = max(free_tokens, arrival.at) + (arrival.input_tokens + arrival.output_tokens) / tokens_per_second
    return waits


def tenants_of(arrivals: list[Arrival]) -> dict[str, int]:
    """How much each asks for, the greediest first."""
    counts = {name: len(list(group)) for name, group in itertools.groupby(sorted(a.tenant for a in arrivals))}
    return dict(sorted(counts.items(), key=lambda entry: -entry[1]))
