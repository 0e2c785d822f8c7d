"""Where an attempt's time went and what its LLM calls consumed, added to the task's sums; and whether it called others."""

import msgspec

from dayshift.agents import CallMeter
from dayshift.domain import clock
from dayshift.domain.effect import EffectKind
from dayshift.domain.task import Started, Timing
from dayshift.tasks.finishing import Outcome
from dayshift.worker.attempt import Attempt


def _elsewhere_seconds(meter: CallMeter) -> float:
    return meter.seconds + meter.wait_seconds + meter.ledger_seconds + meter.tools_seconds


def with_figures(outcome: Outcome, attempt: Attempt, started: Started) -> Outcome:
    """The outcome with its sums. What waited is measured against the ledger's times by this machine's clock."""
    usage = started.usage if attempt.journal is None else attempt.journal.usage
    before, meter = started.timing, attempt.meter
    ended_mono = attempt.ended_mono or clock.monotonic_seconds()
    entered_mono = attempt.entered_mono or ended_mono
    now = clock.now()
    since_claim_seconds = clock.monotonic_seconds() - attempt.claimed_mono
    ready_at = max(started.run_at, started.created_at)
    waited_seconds = (now - ready_at).total_seconds() - since_claim_seconds
    if started.takeover:  # what it waited for its first start; the lost attempt's own figures went with its worker
        waited_seconds = 0.0 if before.queued else (started.started_at - ready_at).total_seconds()
    timing = Timing(
        queued=before.queued + max(0.0, waited_seconds),
        starting=before.starting + (entered_mono - attempt.claimed_mono),
        llm=before.llm + meter.seconds,
        llm_wait=before.llm_wait + meter.wait_seconds,
        tools=before.tools + meter.tools_seconds,
        ledger=before.ledger + meter.ledger_seconds,
        own=before.own + max(0.0, ended_mono - entered_mono - _elsewhere_seconds(meter)),
        total=max(0.0, (now - started.created_at).total_seconds()),
    )
    return msgspec.structs.replace(
        outcome,
        usage=msgspec.structs.replace(usage, replayed_calls=usage.replayed_calls + started.usage.replayed_calls),
        timing=timing,
        slot_seconds=ended_mono - attempt.claimed_mono,
        has_children=attempt.journal is not None and attempt.journal.count_of(EffectKind.CHILD) > 0,
    )
