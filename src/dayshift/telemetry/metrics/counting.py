"""Which event counts what. Each handler is on the hot path: one look-up of its series and an addition or two."""

from collections.abc import Callable

from dayshift.domain import events as e
from dayshift.domain.clock import now
from dayshift.telemetry.bus import subscribe
from dayshift.telemetry.metrics import table
from dayshift.telemetry.metrics.board import Board, Counter, Gauge, Histogram

BOARD_IS_FULL = ("telemetry", "board_full")


BREAKER_STATES = {"closed": 0, "half-open": 1, "open": 2}


class Counting:
    """Subscribes to the events that metrics are made of, and counts them on a board."""

    def __init__(self, board: Board) -> None:
        self._errors = Counter(board, table.ERRORS, lambda: None)
        self._errors.add(BOARD_IS_FULL, 0.0)  # its place is taken first, so that a full board can still say so
        self._accepted = self._counter(board, table.TASKS_ACCEPTED)
        self._finished = self._counter(board, table.TASKS_FINISHED)
        self._queued = self._histogram(board, table.TASK_QUEUED)
        self._duration = self._histogram(board, table.TASK_DURATION)
        self._effects = self._counter(board, table.EFFECTS)
        self._divergences = self._counter(board, table.DIVERGENCES)
        self._llm_duration = self._histogram(board, table.LLM_DURATION)
        self._llm_tokens = self._counter(board, table.LLM_TOKENS)
        self._llm_cost = self._counter(board, table.LLM_COST)
        self._llm_unpriced = self._counter(board, table.LLM_UNPRICED)
        self._commits = self._histogram(board, table.LEDGER_COMMIT)
        self._requests = self._histogram(board, table.HTTP_DURATION)
        self._depth = self._gauge(board, table.QUEUE_DEPTH)
        self._oldest = self._gauge(board, table.QUEUE_OLDEST)
        self._stranded = self._gauge(board, table.TASKS_STRANDED)
        self._slots = self._gauge(board, table.WORKER_SLOTS)
        self._lag = self._gauge(board, table.LOOP_LAG)
        self._breakers = self._gauge(board, table.BREAKER_STATE)
        self._limit_wait = self._histogram(board, table.LLM_LIMIT_WAIT)
        self._limit_used = self._gauge(board, table.LLM_LIMIT_USED)
        self._webhooks = self._counter(board, table.WEBHOOK_DELIVERIES)
        self._degraded = self._counter(board, table.LLM_DEGRADED)

    def subscribe(self) -> list[Callable[[], None]]:
        return [
            subscribe(e.TaskAccepted, lambda event: self._accepted.add((event.agent,))),
            subscribe(e.TaskStarted, lambda event: self._queued.observe((event.agent,), event.queued_seconds)),
            subscribe(e.TaskFinished, self._on_finished),
            subscribe(e.TaskRetrying, lambda event: self._errors.add(("attempt", event.error_code))),
            subscribe(e.TaskLost, self._on_lost),
            subscribe(e.EffectsEnded, lambda event: self._effects.add((event.kind, event.outcome), event.count)),
            subscribe(e.Diverged, lambda event: self._divergences.add((event.kind,))),
            subscribe(e.LlmCallEnded, self._on_llm_call),
            subscribe(e.LedgerCommit, lambda event: self._commits.observe((event.operation,), event.duration_seconds)),
            subscribe(e.HttpRequest, self._on_request),
            subscribe(e.DepthMeasured, self._on_depth),
            subscribe(e.TasksStranded, self._on_stranded),
            subscribe(e.WorkerSlots, self._on_slots),
            subscribe(e.LlmLimitWaited, lambda event: self._limit_wait.observe((event.provider,), event.seconds)),
            subscribe(e.LlmLimitUsed, lambda event: self._limit_used.set((event.provider, event.limit), event.ratio)),
            subscribe(e.LlmDegraded, lambda event: self._degraded.add((event.how,))),
            subscribe(e.WebhookDelivery, lambda event: self._webhooks.add((event.outcome,))),
            subscribe(e.BreakerChanged, self._on_breaker),
            subscribe(e.LoopLag, lambda event: self._lag.set((), event.lag_seconds)),
            subscribe(e.DependencyLost, lambda event: self._errors.add((event.dependency, "away"))),
            subscribe(e.Fault, lambda event: self._errors.add((event.where, event.error_type))),
        ]

    def _on_finished(self, event: e.TaskFinished) -> None:
        self._finished.add((event.agent, event.status))
        self._duration.observe((event.agent,), event.duration_seconds)
        if event.status == "failed":
            self._errors.add(("attempt", event.error_code or "unknown"))

    def _on_lost(self, event: e.TaskLost) -> None:
        self._errors.add(("worker", "poison" if event.poisoned else "lost"))

    def _on_llm_call(self, event: e.LlmCallEnded) -> None:
        provider, model = event.provider, event.model
        self._llm_duration.observe((provider, model, event.outcome), event.duration_seconds)
        if event.is_unpriced:
            self._llm_unpriced.add((provider, model, event.agent))
        elif event.cost_usd:
            self._llm_cost.add((provider, model, event.agent), event.cost_usd)
        for kind in ("input", "output", "cached", "reasoning"):
            if tokens := getattr(event, f"{kind}_tokens"):
                self._llm_tokens.add((provider, model, kind), tokens)

    def _on_request(self, event: e.HttpRequest) -> None:
        self._requests.observe((event.route, str(event.status)), event.duration_seconds)

    def _on_depth(self, event: e.DepthMeasured) -> None:
        measured_at = now().timestamp()
        self._depth.set((event.queue, "ready"), event.ready, measured_at)
        self._depth.set((event.queue, "delayed"), event.delayed, measured_at)
        self._depth.set((event.queue, "running"), event.running, measured_at)
        self._depth.set((event.queue, "waiting"), event.waiting, measured_at)
        self._oldest.set((event.queue,), event.oldest_seconds, measured_at)

    def _on_stranded(self, event: e.TasksStranded) -> None:
        self._stranded.set((event.agent,), event.tasks, now().timestamp())

    def _on_slots(self, event: e.WorkerSlots) -> None:
        self._slots.set(("free",), event.free)
        self._slots.set(("busy",), event.busy)

    def _on_breaker(self, event: e.BreakerChanged) -> None:
        self._breakers.set((event.provider, event.model), BREAKER_STATES[event.state])

    def _counter(self, board: Board, metric: table.Metric) -> Counter:
        return Counter(board, metric, self._on_full)

    def _gauge(self, board: Board, metric: table.Metric) -> Gauge:
        return Gauge(board, metric, self._on_full)

    def _histogram(self, board: Board, metric: table.Metric) -> Histogram:
        return Histogram(board, metric, self._on_full)

    def _on_full(self) -> None:
        self._errors.add(BOARD_IS_FULL)
