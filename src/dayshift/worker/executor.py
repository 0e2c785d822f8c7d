"""Runs one attempt, as a list of steps: start, load the journal, bind the context, call the agent under its deadline, record
the outcome.

Each attempt is supervised by an asyncio task of its own; the agent's code runs in another (or in a thread), so that code
which does not end can be left behind.
"""

import asyncio
import contextlib
import traceback
from collections.abc import Awaitable, Callable, Mapping
from datetime import timedelta
from functools import partial
from typing import Any

import msgspec

from dayshift.agents import Agent, CallMeter, Context, Conversation, Effects, ReadFlag, StraightLine, bind
from dayshift.domain import clock
from dayshift.domain.budget import Spender
from dayshift.domain.errors import InvalidInput, Superseded
from dayshift.domain.events import AttemptSuperseded, Fault
from dayshift.domain.flags import flag_value
from dayshift.domain.patience import until_answered
from dayshift.domain.settings import Settings
from dayshift.domain.task import Started, TaskError
from dayshift.domain.webhooks import QUEUE
from dayshift.hotplane import Plane
from dayshift.journal import AttemptJournal
from dayshift.journal.journal import Journal
from dayshift.ledger import Look, StartRefusal
from dayshift.llm.asking import Caller
from dayshift.llm.budgets import Budgets, scopes_of
from dayshift.llm.pipeline import Line
from dayshift.llm.prices import Prices
from dayshift.tasks.finishing import Finishing, Outcome
from dayshift.tasks.starting import Starting
from dayshift.telemetry import bound, emit
from dayshift.worker.attempt import Attempt, StopReason
from dayshift.worker.branches import Branches
from dayshift.worker.conversing import conversation_of
from dayshift.worker.emitting import Emitter
from dayshift.worker.entering import Ending, Raised, Returned, enter
from dayshift.worker.figures import with_figures
from dayshift.worker.judging import Judge, describe
from dayshift.worker.parking import AttemptWaits
from dayshift.worker.slots import Slots
from dayshift.worker.waits import OpenWaits, Waits

STACK_LIMIT_FRAMES = 30

MakeLine = Callable[[Caller], Line]


class Executor:
    """Takes attempts that hold a slot and leaves it free.

    `on_quarantine` runs a task that must be alone; `on_entering` hears the seconds that an attempt may take, just before
    its code is entered; `lines` makes the way that its LLM calls go.
    """

    def __init__(
        self,
        *,
        plane: Plane,
        starting: Starting,
        finishing: Finishing,
        journal: Journal,
        settings: Callable[[], Settings],
        agents: Mapping[str, Agent],
        slots: Slots,
        waits: Waits,
        on_quarantine: Callable[[Attempt], Awaitable[None]],
        on_entering: Callable[[float], None] | None = None,
        lines: MakeLine | None = None,
        budgets: Budgets | None = None,
        is_quarantine: bool = False,
    ) -> None:
        self._plane = plane
        self._starting = starting
        self._finishing = finishing
        self._journal = journal
        self._settings = settings
        self._prices = Prices(lambda: settings().prices)
        self._agents = agents
        self._slots = slots
        self._waits = waits
        self._on_quarantine = on_quarantine
        self._on_entering = on_entering
        self._lines = lines
        self._budgets = budgets
        self._is_quarantine = is_quarantine

    def begin(self, attempt: Attempt) -> None:
        """Run the attempt in the background, in the slot that it holds."""
        attempt.supervisor = asyncio.create_task(self._supervise(attempt), name=f"attempt {attempt.task_id}")

    async def _supervise(self, attempt: Attempt) -> None:
        try:
            await self._run_steps(attempt)
        except asyncio.CancelledError:
            if attempt.stop_reason is None:  # not ours: the event loop itself is being closed
                raise
        except Exception as error:  # noqa: BLE001 - nobody awaits this; the slot must come free whatever happens
            emit(_fault("executor", error))
            await self._record_fault(attempt, error)
        finally:
            self._leave_slot(attempt)

    async def _run_steps(self, attempt: Attempt) -> None:
        started = await self._start(attempt)
        if started is None:
            return
        with bound(
            task_id=started.id,
            attempt=started.attempt,
            agent=started.agent,
            tenant=started.tenant,
            trace_id=started.trace_id,
        ):
            outcome = await self._run(attempt, started)
            if outcome is not None:
                await self._record(attempt, started, outcome)

    async def _start(self, attempt: Attempt) -> Started | None:
        """Ask the ledger. None: it said no (and everybody has been told), or the task ran elsewhere."""
        if not attempt.lease.is_valid():
            return None
        worker_id = attempt.lease.worker_id
        answer = await attempt.while_starting(
            lambda: self._starting.start(attempt.task_id, worker_id, quarantine=self._is_quarantine)
        )
        if isinstance(answer, StartRefusal):
            if answer.reason == "quarantine":
                await attempt.while_starting(lambda: self._on_quarantine(attempt))
            elif answer.reason == "worker_released":
                attempt.lease.lose("declared dead by others")  # the heartbeat sees it, and tells the worker
            return None
        attempt.started = answer
        return attempt.started

    async def _run(self, attempt: Attempt, started: Started) -> Outcome | None:
        """Run the agent's code. None: nothing may be written, since the lease is lost."""
        agent = self._agents.get(started.agent)
        if agent is None:
            message = f"this worker's code has no agent {started.agent!r}; deploy it, or cancel the task"
            return Outcome(kind="failed", error=TaskError("unknown_agent", message))
        if self._is_of_the_house(attempt):
            self._slots.set_aside(attempt)
        judge = Judge(agent, self._settings().agent(agent.name), started)
        try:
            arguments = agent.signature.decode(started.input)
        except InvalidInput as error:
            return judge.of_bad_input(error)
        timeout_seconds, on_timeout = self._time_limit(started, agent)
        emitter = Emitter(self._plane, attempt, started.attempt, self._starting.announced())
        spender = await self._spender(started)
        journal = attempt.journal = await self._open_journal(attempt, started, spender, emitter, strict=agent.strict)
        waits = self._waits_of(attempt, started)
        effects = Effects(journal, asyncio.get_running_loop(), waits, depth=started.depth, meter=attempt.meter)
        line = None if self._lines is None else self._lines(_caller(started, spender, timeout_seconds, waits))
        context = _make_context(
            started,
            timeout_seconds=timeout_seconds,
            emitter=emitter,
            meter=attempt.meter,
            effects=effects,
            conversation=conversation_of(started, self._journal, effects),
            prices=self._prices,
            flags=lambda name: flag_value(self._settings(), name, tenant=started.tenant, task_id=started.id),
            line=line,
        )
        ending = await self._call(attempt, agent, context, arguments, on_timeout)
        if line is not None:
            line.close()
        await emitter.flush()
        outcome = self._judge(attempt, judge, ending, timeout_seconds, waits)
        if outcome is not None:
            await self._close_journal(journal, ending)
            await emitter.flush()
        return outcome

    def _waits_of(self, attempt: Attempt, started: Started) -> AttemptWaits:
        branches = Branches()
        branches.follow()
        superseded = partial(attempt.stop, StopReason.SUPERSEDED)
        look = Look(started.id, started.attempt, attempt.lease.worker_id)
        waits = AttemptWaits(attempt, branches, self._waits, OpenWaits(look, started.wakes, superseded), started.run_at)
        attempt.when_stopped = waits.end
        return waits

    async def _spender(self, started: Started) -> Spender:
        budgets = self._budgets
        return Spender.of(started) if budgets is None else await until_answered(lambda: budgets.spender_of(started))

    async def _open_journal(
        self, attempt: Attempt, started: Started, spender: Spender, emitter: Emitter, *, strict: bool
    ) -> AttemptJournal:
        return await until_answered(
            lambda: self._journal.open(
                started,
                attempt.lease.worker_id,
                may_act=attempt.check_may_act,
                on_written=attempt.meter.add_commit,
                on_finished=emitter.finished,
                on_cancelled=lambda: attempt.stop(StopReason.CANCELLED),
                strict=strict,
                scopes=lambda: scopes_of(self._settings(), spender),
            )
        )

    async def _close_journal(self, journal: AttemptJournal, ending: Ending | None) -> None:
        """A newer attempt that has taken over meanwhile is noticed when the outcome is recorded."""
        with contextlib.suppress(Superseded):
            await self._journal.close(journal, ending.error if isinstance(ending, Raised) else None)

    async def _call(
        self, attempt: Attempt, agent: Agent, context: Context, arguments: dict[str, Any], on_timeout: StopReason
    ) -> Ending | None:
        """Call the agent under its deadline. None: its code did not end when told to."""
        if not attempt.lease.is_valid():  # a SIGSTOP may lie between the grant and here
            attempt.stop(StopReason.SUPERSEDED)
            return None
        bind(context)
        if self._on_entering is not None:
            self._on_entering(context.seconds_left)
        attempt.is_cancellable = agent.is_async
        body = enter(agent, context, arguments)
        ended = await attempt.until_ended(body, context.seconds_left, on_timeout)
        if not ended:
            self._report_abandoned(attempt, agent)
            return None
        return Raised(asyncio.CancelledError()) if body.cancelled() else body.result()

    def _judge(
        self, attempt: Attempt, judge: Judge, ending: Ending | None, timeout_seconds: float, waits: AttemptWaits
    ) -> Outcome | None:
        reason = attempt.stop_reason
        if reason is StopReason.PARKED:
            return Outcome(kind="parked", parking=waits.parking())
        was_turned_away = isinstance(ending, Raised) and isinstance(ending.error, Superseded)
        if reason is StopReason.SUPERSEDED or (was_turned_away and not attempt.lease.is_valid()):
            emit(AttemptSuperseded(task_id=attempt.task_id, attempt=_number(attempt), where="run"))
            return None
        if reason is None or (reason is StopReason.DRAINING and isinstance(ending, Returned)):
            assert ending is not None
            if isinstance(ending, Raised) and not self._is_of_the_house(attempt):
                emit(_fault("agent", ending.error))
            stopped_by = attempt.journal.stopped_by if attempt.journal is not None else None
            return judge.of_ending(ending if stopped_by is None else Raised(stopped_by))
        return judge.of_stop(reason, timeout_seconds)

    @staticmethod
    def _is_of_the_house(attempt: Attempt) -> bool:
        """A built-in agent: it holds no author's slot, and what a stranger's server does is no fault of any code here."""
        return attempt.started is not None and attempt.started.queue == QUEUE

    async def _record(self, attempt: Attempt, started: Started, outcome: Outcome) -> None:
        """Commit the outcome. The ledger refuses it when a newer attempt has taken over, which the service reports.

        A lease that was lost since the code ended is no reason to withhold it: the ledger's word is the safer fence,
        and what was paid for may still count.
        """
        await self._finishing.finish(started, attempt.lease.worker_id, with_figures(outcome, attempt, started))

    async def _record_fault(self, attempt: Attempt, error: Exception) -> None:
        """An attempt that fell over between its start and its finish would otherwise be `running` for ever.

        When the finish itself fell over, its outcome may be recorded already: then the ledger refuses this one.
        """
        started = attempt.started
        if started is None or attempt.stop_reason is StopReason.SUPERSEDED:
            return
        try:
            agent = self._agents[started.agent]
            judge = Judge(agent, self._settings().agent(agent.name), started)
            message = f"dayshift could not judge how the attempt ended: {describe(error)}"
            await self._record(attempt, started, judge.failure("agent_error", message, after_seconds=None))
        except Exception as another:  # noqa: BLE001 - what is still running without a holder is found by `leftovers`
            emit(_fault("executor", another))

    def _time_limit(self, started: Started, agent: Agent) -> tuple[float, StopReason]:
        """The task's own timeout, else the setting, else the agent's; and never beyond the task's expires_at."""
        setting = self._settings().agent(agent.name).timeout
        timeout_seconds = started.timeout_seconds or setting or agent.timeout_seconds
        if started.expires_at is not None:
            left_seconds = max(0.0, (started.expires_at - clock.now()).total_seconds())
            if left_seconds < timeout_seconds:
                return left_seconds, StopReason.EXPIRED
        return timeout_seconds, StopReason.TIMEOUT

    def _report_abandoned(self, attempt: Attempt, agent: Agent) -> None:
        message = (
            f"agent {agent.name} did not end when it was stopped ({attempt.stop_reason}); its outcome is recorded and "
            "its code is left behind, with its slot, until it ends: do not swallow CancelledError, and bound blocking calls"
        )
        emit(Fault(where="agent", error_type="CodeDidNotEnd", message=message))

    def _leave_slot(self, attempt: Attempt) -> None:
        if attempt.body_is_running:
            self._slots.mark_stuck(attempt)
            attempt.when_body_is_gone(lambda: self._leave(attempt))
        else:
            self._leave(attempt)

    def _leave(self, attempt: Attempt) -> None:
        self._slots.leave(attempt)
        attempt.let_go()


def _make_context(
    started: Started,
    *,
    timeout_seconds: float,
    emitter: Emitter,
    meter: CallMeter,
    effects: Effects,
    conversation: Conversation | None,
    prices: Prices,
    flags: ReadFlag,
    line: Line | None,
) -> Context:
    return Context(
        task_id=started.id,
        agent=started.agent,
        tenant=started.tenant,
        user=started.user,
        attempt=started.attempt,
        deadline=clock.now() + timedelta(seconds=timeout_seconds),
        conversation=conversation,
        metadata=msgspec.json.decode(started.metadata, type=dict[str, Any]),
        _deadline_mono=clock.monotonic_seconds() + timeout_seconds,
        _sink=emitter,
        _voice=emitter,
        _meter=meter,
        _effects=effects,
        _flags=flags,
        _prices=prices,
        _line=line or StraightLine(),
    )


def _caller(started: Started, spender: Spender, timeout_seconds: float, waits: AttemptWaits) -> Caller:
    return Caller(
        task_id=started.id,
        agent=started.agent,
        tenant=started.tenant,
        user=started.user,
        conversation=started.conversation,
        priority=started.priority,
        deadline_mono=clock.monotonic_seconds() + timeout_seconds,
        spender=spender,
        wait_for_provider=waits.until_provider,
    )


def _number(attempt: Attempt) -> int:
    return attempt.started.attempt if attempt.started is not None else 0


def _fault(where: str, error: BaseException) -> Fault:
    stack = "".join(traceback.format_exception(error, limit=STACK_LIMIT_FRAMES, chain=True))
    return Fault(where=where, error_type=type(error).__name__, message=describe(error), stack=stack)
