"""What the questions share.

serving.py    a real `dayshift serve` (or its processes, unsupervised) on a folder of its own
client.py     a lean HTTP client, and the few requests that every question makes
loads.py      closed loops (each connection waits for its answer) and open loops (requests leave when they are due)
measuring.py  repeats, medians, percentiles; CPU time by kind of process, memory, and what else the machine did
floors.py     what the same machine does with less: a constant answer, a bare table, a bare coroutine
provider.py   the LLM provider that can be commanded
reporting.py  a question's report, as JSON and as lines of summary.md
plotting.py   the same as a picture
"""

from benchmarks.harness.client import Connection, ended, queue_of, request_json, submit_many
from benchmarks.harness.measuring import Case, Effort, Meter, percentile, repeat, summary_of
from benchmarks.harness.reporting import Line, Report, line
from benchmarks.harness.serving import (
    AGENTS,
    ROOT,
    Served,
    admit,
    configure,
    dayshift,
    environment,
    fleet,
    free_port,
    raise_limits,
    run,
    serve,
    wait_until_ready,
)

__all__ = [
    "AGENTS",
    "ROOT",
    "Case",
    "Connection",
    "Effort",
    "Line",
    "Meter",
    "Report",
    "Served",
    "admit",
    "configure",
    "dayshift",
    "ended",
    "environment",
    "fleet",
    "free_port",
    "line",
    "percentile",
    "queue_of",
    "raise_limits",
    "repeat",
    "request_json",
    "run",
    "serve",
    "submit_many",
    "summary_of",
    "wait_until_ready",
]
