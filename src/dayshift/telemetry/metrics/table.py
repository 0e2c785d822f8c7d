"""Every metric that exists (CONTRACT section 5): name, labels, and how the values of several processes become one.

No tenant, task, user or worker is ever a label: the number of series must not grow with use.
"""

from typing import Literal

from msgspec import Struct

# counter, histogram: summed, the dead included. sum, max: over the living. latest: the newest measurement of anybody.
Kind = Literal["counter", "histogram", "sum", "max", "latest"]

TASK_SECONDS = (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 60.0, 300.0, 1800.0)
COMMIT_SECONDS = (0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0)
HTTP_SECONDS = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 60.0)


class Metric(Struct, frozen=True):
    """One family of series. `bounds` are a histogram's upper bucket bounds."""

    name: str
    kind: Kind
    labels: tuple[str, ...]
    meaning: str
    bounds: tuple[float, ...] = ()

    @property
    def width(self) -> int:
        """How many numbers one series takes: a histogram's buckets with +Inf, and its sum; a latest value and its time."""
        if self.kind == "histogram":
            return len(self.bounds) + 2
        return 2 if self.kind == "latest" else 1

    @property
    def outlives_its_process(self) -> bool:
        return self.kind in {"counter", "histogram"}


TASKS_ACCEPTED = Metric("dayshift_tasks_accepted_total", "counter", ("agent",), "Tasks whose acceptance is committed.")
TASKS_FINISHED = Metric(
    "dayshift_tasks_finished_total", "counter", ("agent", "status"), "Tasks that ended: succeeded, failed or cancelled."
)
QUEUE_DEPTH = Metric(
    "dayshift_queue_depth", "latest", ("queue", "state"), "Unfinished tasks: ready, delayed, running or waiting."
)
QUEUE_OLDEST = Metric("dayshift_queue_oldest_seconds", "latest", ("queue",), "Age of the oldest task that is ready.")
TASKS_STRANDED = Metric(
    "dayshift_tasks_stranded",
    "latest",
    ("agent",),
    "Tasks of pinned agents that began under a code version which no living worker has.",
)
TASK_QUEUED = Metric(
    "dayshift_task_queued_seconds",
    "histogram",
    ("agent",),
    "From when a task could run until it started.",
    TASK_SECONDS,
)
TASK_DURATION = Metric(
    "dayshift_task_duration_seconds",
    "histogram",
    ("agent",),
    "Running time of the attempt that ended a task.",
    TASK_SECONDS,
)
EFFECTS = Metric(
    "dayshift_effects_total",
    "counter",
    ("kind", "outcome"),
    "Effects of agents: performed, replayed from the journal, failed, or with an unknown outcome.",
)
DIVERGENCES = Metric(
    "dayshift_divergences_total",
    "counter",
    ("kind",),
    "Calls of a later attempt that were not found, while something like them was recorded and not asked for.",
)
LLM_DURATION = Metric(
    "dayshift_llm_request_duration_seconds",
    "histogram",
    ("provider", "model", "outcome"),
    "From a request to a provider to the end of its answer. `outcome`: ok, left, limited, refused, failed.",
    TASK_SECONDS,
)
LLM_TOKENS = Metric(
    "dayshift_llm_tokens_total",
    "counter",
    ("provider", "model", "type"),
    "Tokens of answers. `type`: input, output; and of these again: cached, reasoning.",
)
LLM_COST = Metric(
    "dayshift_llm_cost_usd_total",
    "counter",
    ("provider", "model", "agent"),
    "What answers cost, in US dollars.",
)
LLM_UNPRICED = Metric(
    "dayshift_llm_unpriced_calls_total",
    "counter",
    ("provider", "model", "agent"),
    "Answers that nobody knows the price of: they are not in the cost.",
)
LLM_LIMIT_WAIT = Metric(
    "dayshift_llm_limit_wait_seconds",
    "histogram",
    ("provider",),
    "How long calls waited for their turn under a provider's limit.",
    TASK_SECONDS,
)
LLM_LIMIT_USED = Metric(
    "dayshift_llm_limit_used_ratio",
    "sum",
    ("provider", "limit"),
    "How much of a provider's limit the living workers used in the last minute: 1 is all of it. `limit`: requests, tokens, input_tokens, "
    "output_tokens; `provider` is PROVIDER/MODEL where a model has limits of its own.",
)
LLM_DEGRADED = Metric(
    "dayshift_llm_degraded_total",
    "counter",
    ("how",),
    "Calls that their model's first target did not answer. `how`: fallback, cached, park, fail.",
)
WEBHOOK_DELIVERIES = Metric(
    "dayshift_webhook_deliveries_total",
    "counter",
    ("outcome",),
    "Tries to tell receivers. `outcome`: delivered, failed (it comes again), dead, held (the receiver is left alone for a while), "
    "dropped (there is nothing to tell any more).",
)
BREAKER_STATE = Metric(
    "dayshift_breaker_state",
    "max",
    ("provider", "model"),
    "Breaker of a provider's model: 0 closed, 1 half-open, 2 open. Not there before it has first opened.",
)
WORKER_SLOTS = Metric("dayshift_worker_slots", "sum", ("state",), "Slots of the living workers: free or busy.")
ERRORS = Metric("dayshift_errors_total", "counter", ("where", "type"), "What failed, by place and kind.")
LEDGER_COMMIT = Metric(
    "dayshift_ledger_commit_seconds", "histogram", ("operation",), "Duration of a commit in PostgreSQL.", COMMIT_SECONDS
)
LOOP_LAG = Metric(
    "dayshift_event_loop_lag_seconds", "max", (), "How late the event loop turns, of the process where it is latest."
)
HTTP_DURATION = Metric(
    "dayshift_http_request_duration_seconds",
    "histogram",
    ("route", "status"),
    "From a request's head to the end of its answer.",
    HTTP_SECONDS,
)

METRICS = (
    TASKS_ACCEPTED,
    TASKS_FINISHED,
    QUEUE_DEPTH,
    QUEUE_OLDEST,
    TASKS_STRANDED,
    TASK_QUEUED,
    TASK_DURATION,
    EFFECTS,
    DIVERGENCES,
    LLM_DURATION,
    LLM_TOKENS,
    LLM_COST,
    LLM_UNPRICED,
    LLM_LIMIT_WAIT,
    LLM_LIMIT_USED,
    LLM_DEGRADED,
    WEBHOOK_DELIVERIES,
    BREAKER_STATE,
    WORKER_SLOTS,
    ERRORS,
    LEDGER_COMMIT,
    LOOP_LAG,
    HTTP_DURATION,
)
BY_NAME = {metric.name: metric for metric in METRICS}
