"""Budgets on both engines: who counts for whom, what a refusal says, and what is left of it when a plane is lost."""

import asyncio
import json
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import UTC, datetime, timedelta

import asyncpg
import pytest
from msgspec.structs import replace

from dayshift.domain.budget import Scope, Spender
from dayshift.domain.errors import BudgetSpent, LedgerAway, WrongUse
from dayshift.domain.provider_settings import BudgetSettings
from dayshift.domain.settings import AgentSettings, Settings, TenantSettings
from dayshift.hotplane import Plane
from dayshift.ledger import Ledger
from dayshift.llm.budgets import BudgetGate, Budgets
from dayshift.llm.budgets import budgets as budgets_module
from dayshift.llm.budgets.limits import limits_of, scopes_of
from tests.services.proxy import Proxy

ROOT, CHILD = "task_00000000-0000-7000-8000-000000000001", "task_00000000-0000-7000-8000-000000000002"
ANN = Spender(tenant="acme", agent="writer", task_id=ROOT, user="ann", conversation="talk")
BOB = Spender(tenant="acme", agent="writer", task_id=CHILD, user="bob")
OF_TENANT = Scope("tenant", "acme", "")


def settings(*, tenant: dict | None = None, user: dict | None = None, **agents: dict) -> Settings:
    section = TenantSettings(
        budget=BudgetSettings(**tenant) if tenant else None, user_budget=BudgetSettings(**user) if user else None
    )
    budgets = {name: AgentSettings(budget=BudgetSettings(**budget)) for name, budget in agents.items()}
    return Settings(tenants={"acme": section}, agents=budgets)


class Machine:
    """A process's budgets, and the settings in hand."""

    def __init__(self, plane: Plane, ledger: Ledger) -> None:
        self.plane = plane
        self.ledger = ledger
        self.settings = Settings()
        self.budgets = Budgets(plane, ledger, lambda: self.settings)

    async def settled(self) -> None:
        """Until the plane has heard of all settlements."""
        async with asyncio.timeout(10):
            while self.budgets._telling:
                await asyncio.wait(self.budgets._telling)


@asynccontextmanager
async def machine_on(database_url: str, valkey_url: str) -> AsyncIterator[Machine]:
    plane = Plane(valkey_url)
    await plane.open()
    async with Ledger(database_url) as ledger:
        machine = Machine(plane, ledger)
        yield machine
        await machine.budgets.close()
    await plane.close()


@pytest.fixture
async def machine(migrated_database_url, valkey_url):
    async with machine_on(migrated_database_url, valkey_url) as machine:
        yield machine


async def pay(database_url: str, scope: Scope, usd: float, tokens: int = 0) -> None:
    """As record_effects does."""
    connection = await asyncpg.connect(database_url)
    await connection.execute(
        "INSERT INTO spending AS s VALUES ($1, $2, $3, date_trunc('hour', now()), 0, $4, $5, 1, 0)"
        " ON CONFLICT (kind, tenant, name, hour, shard) DO UPDATE SET nano_usd = s.nano_usd + $4, tokens = s.tokens + $5",
        scope.kind, scope.tenant, scope.name, round(usd * 1e9), tokens,
    )  # fmt: skip
    await connection.close()


async def test_without_a_budget_nothing_is_asked(machine):
    await machine.plane.close()
    await machine.ledger.close()
    hold = await machine.budgets.reserve(ANN, 1e9, 10**12)
    hold.settle(1e9, 10**12)


async def test_a_refusal_tells_the_numbers_and_until_when(machine):
    machine.settings = settings(tenant={"usd_per_day": 5.0})
    hold = await machine.budgets.reserve(ANN, 4.98, 100)
    hold.settle(4.98, 100)
    await machine.settled()
    with pytest.raises(BudgetSpent) as refused:
        await machine.budgets.reserve(BOB, 0.03, 100)
    error = refused.value
    assert (error.setting, error.unit, error.code) == ("tenants.acme.budget.usd_per_day", "usd", "budget_spent")
    assert (error.allowed, error.spent, error.held, error.needed) == (5.0, 4.98, 0.0, 0.03)
    tomorrow = (datetime.now(UTC) + timedelta(days=1)).replace(hour=0, minute=0, second=0, microsecond=0)
    assert error.resets_at == tomorrow
    assert 0 < error.retry_after_seconds <= 86_400
    assert "$4.98 is spent, and this call may need $0.03;" in error.message
    assert (await machine.budgets.reserve(BOB, 0.02, 100)) is not None


async def test_what_was_spent_less_than_estimated_can_be_spent(machine):
    machine.settings = settings(writer={"tokens_per_hour": 1_000})
    (await machine.budgets.reserve(ANN, None, 900)).settle(None, 100)
    (await machine.budgets.reserve(ANN, None, 900)).give_back()
    hold = await machine.budgets.reserve(ANN, None, 900)
    hold.settle(None, None)  # nobody knows: the estimate stands
    hold.settle(None, 0)
    await machine.settled()
    with pytest.raises(BudgetSpent, match="1,000 tokens"):
        await machine.budgets.reserve(ANN, None, 1)


async def test_a_call_waits_for_what_others_hold_and_may_not_use(machine):
    machine.settings = settings(tenant={"tokens_per_day": 100})
    first = await machine.budgets.reserve(ANN, None, 80)
    waiting = asyncio.create_task(machine.budgets.reserve(BOB, None, 80))
    await asyncio.sleep(0.2)
    assert not waiting.done()
    first.settle(None, 10)
    await asyncio.wait_for(waiting, 10)
    with pytest.raises(BudgetSpent, match="80 tokens is held by calls under way"):
        await machine.budgets.reserve(ANN, None, 20, max_wait_seconds=0)


@pytest.mark.parametrize(
    ("budget", "others"),
    [
        ({"tenant": {"tokens_per_day": 100}}, [ANN, BOB]),
        ({"user": {"tokens_per_month": 100}}, [ANN]),
        ({"writer": {"tokens_per_hour": 100}}, [ANN, BOB]),
        ({"user": {"tokens_per_conversation": 100}}, [ANN]),
        ({"tenant": {"tokens_per_task": 100}}, [ANN]),
    ],
)
async def test_a_budget_is_shared_by_those_whom_it_names(machine, budget, others):
    machine.settings = settings(**budget)
    (await machine.budgets.reserve(ANN, None, 100)).settle(None, 100)
    await machine.settled()
    stranger = Spender(tenant="other", agent="reader", task_id="task_9", user="ann", conversation="talk")
    for spender in (ANN, BOB, stranger):
        if spender in others:
            with pytest.raises(BudgetSpent):
                await machine.budgets.reserve(spender, None, 1)
        else:
            (await machine.budgets.reserve(spender, None, 1)).give_back()


async def test_a_child_has_what_remains_of_the_tasks_above_it(machine):
    machine.settings = settings(writer={"usd_per_task": 1.0}, helper={"usd_per_task": 0.4})
    child = Spender(tenant="acme", agent="helper", task_id=CHILD, ancestors=((ROOT, "writer"),))
    (await machine.budgets.reserve(child, 0.3, 1)).settle(0.3, 1)
    with pytest.raises(BudgetSpent, match=r"agents\.helper\.budget\.usd_per_task allows \$0\.4"):
        await machine.budgets.reserve(child, 0.2, 1)
    (await machine.budgets.reserve(ANN, 0.65, 1)).settle(0.65, 1)
    await machine.settled()
    with pytest.raises(BudgetSpent, match=r"agents\.writer\.budget\.usd_per_task allows \$1\.00: \$0\.95 is spent"):
        await machine.budgets.reserve(child, 0.08, 1)


async def test_the_ledger_sums_up_for_whom_a_budget_holds():
    child = Spender(tenant="acme", agent="helper", task_id=CHILD, user="ann", ancestors=((ROOT, "writer"),))
    always = {OF_TENANT, Scope("agent", "", "helper")}
    assert set(scopes_of(Settings(), child)) == always
    limited = settings(user={"usd_per_day": 1}, writer={"tokens_per_task": 1})
    assert set(scopes_of(limited, child)) == always | {Scope("user", "acme", "ann"), Scope("task", "", ROOT[5:])}
    assert limits_of(Settings(tenants={"*": limited.tenants["acme"]}), child)[0].setting("usd") == (
        "tenants.*.user_budget.usd_per_day"
    )


async def test_a_call_without_a_price_is_not_made_where_dollars_are_counted(machine):
    machine.settings = settings(tenant={"usd_per_day": 5.0})
    with pytest.raises(WrongUse, match=r"nobody knows what ours/llama costs.*tenants\.acme\.budget\.unpriced"):
        await machine.budgets.reserve(ANN, None, 1, what="ours/llama")
    machine.settings = settings(tenant={"usd_per_day": 5.0, "unpriced": "allow"})
    await machine.budgets.reserve(ANN, None, 1)


async def test_what_the_ledger_knows_counts_from_the_first_call_on(machine, migrated_database_url):
    await pay(migrated_database_url, OF_TENANT, usd=4.0)
    machine.settings = settings(tenant={"usd_per_month": 5.0})
    with pytest.raises(BudgetSpent, match=r"\$4\.00 is spent"):
        await machine.budgets.reserve(ANN, 1.5, 1)


async def test_a_lost_plane_resets_no_budget(machine, migrated_database_url):
    machine.settings = settings(tenant={"usd_per_day": 5.0})
    hold = await machine.budgets.reserve(ANN, 3.0, 1)
    await pay(migrated_database_url, OF_TENANT, usd=3.0)
    hold.settle(3.0, 1)
    await machine.settled()
    await machine.plane._wire.ask(b"FLUSHALL")
    with pytest.raises(BudgetSpent, match=r"\$3\.00 is spent"):
        await machine.budgets.reserve(ANN, 2.5, 1)


async def held_by_others(machine: Machine) -> float:
    """As a call that does not fit is told."""
    try:
        (await machine.budgets.reserve(BOB, None, 30, max_wait_seconds=0)).give_back()
    except BudgetSpent as refused:
        return refused.held
    return 0.0


async def test_what_is_held_is_held_again_after_a_loss(machine, monkeypatch):
    monkeypatch.setattr(budgets_module, "RENEW_SECONDS", 0.1)
    machine.settings = settings(tenant={"tokens_per_day": 100})
    hold = await machine.budgets.reserve(ANN, None, 80)
    await machine.plane._wire.ask(b"FLUSHALL")
    (await machine.budgets.reserve(BOB, None, 10)).give_back()  # makes the counter again
    async with asyncio.timeout(10):
        while await held_by_others(machine) < 80:
            await asyncio.sleep(0.05)
    hold.give_back()


async def test_without_the_plane_the_ledgers_sums_hold(migrated_database_url, valkey_url):
    async with Proxy(valkey_url) as proxy, machine_on(migrated_database_url, proxy.url) as machine:
        machine.settings = settings(tenant={"usd_per_day": 5.0})
        first = await machine.budgets.reserve(ANN, 1.0, 1)
        await proxy.cut()
        await pay(migrated_database_url, OF_TENANT, usd=1.0)
        first.settle(1.0, 1)
        second = await machine.budgets.reserve(ANN, 3.0, 1)  # 1 is spent
        with pytest.raises(BudgetSpent, match=r"\$3\.00 is held"):
            await machine.budgets.reserve(ANN, 2.0, 1, max_wait_seconds=0.3)
        await pay(migrated_database_url, OF_TENANT, usd=3.0)
        second.settle(3.0, 1)
        await proxy.restore()
        await machine.settled()
        with pytest.raises(BudgetSpent, match=r"\$4\.00 is spent"):
            await machine.budgets.reserve(ANN, 2.0, 1)


async def test_a_call_waits_for_the_ledger_that_knows_what_was_spent(migrated_database_url, valkey_url):
    async with Proxy(migrated_database_url) as proxy, machine_on(proxy.url, valkey_url) as machine:
        machine.settings = settings(tenant={"usd_per_day": 5.0})
        await pay(migrated_database_url, OF_TENANT, usd=1.0)
        await proxy.cut()
        with pytest.raises(LedgerAway):
            await BudgetGate(machine.budgets).check("acme", None, "writer")
        waiting = asyncio.create_task(machine.budgets.reserve(ANN, 4.5, 1))
        await asyncio.sleep(0.3)
        assert not waiting.done()
        await proxy.restore()
        with pytest.raises(BudgetSpent, match=r"\$1\.00 is spent"):
            await asyncio.wait_for(waiting, 20)


async def test_a_settlement_that_died_with_its_worker_is_made_up_for(machine, migrated_database_url, valkey_url):
    machine.settings = settings(tenant={"usd_per_day": 5.0})
    await machine.budgets.reserve(ANN, 1.0, 1)
    await pay(migrated_database_url, OF_TENANT, usd=4.5)  # recorded, and then its process died
    async with machine_on(migrated_database_url, valkey_url) as other:
        other.settings = machine.settings
        with pytest.raises(BudgetSpent, match=r"\$4\.50 is spent"):
            await other.budgets.reserve(ANN, 0.6, 1)


async def test_a_settlement_comes_from_any_thread(machine):
    machine.settings = settings(tenant={"tokens_per_day": 100})
    hold = await machine.budgets.reserve(ANN, None, 100)
    await asyncio.to_thread(hold.settle, None, 40)
    await asyncio.sleep(0)
    await machine.settled()
    await machine.budgets.reserve(ANN, None, 60, max_wait_seconds=5)


async def test_a_look_says_whether_anything_is_left(machine):
    machine.settings = settings(user={"tokens_per_day": 100})
    await machine.budgets.check(ANN)
    (await machine.budgets.reserve(ANN, None, 100)).settle(None, 100)
    await machine.settled()
    with pytest.raises(BudgetSpent):
        await machine.budgets.check(ANN)
    await machine.budgets.check(BOB)


async def test_the_gate_asks_once_a_second_for_those_whom_a_budget_limits(machine, monkeypatch):
    machine.settings = settings(user={"tokens_per_day": 100, "tokens_per_conversation": 1})
    gate, asked = BudgetGate(machine.budgets), []
    reserve = machine.plane.reserve_budget

    async def counted(*arguments):
        asked.append(arguments)
        return await reserve(*arguments)

    monkeypatch.setattr(machine.plane, "reserve_budget", counted)
    for _ in range(20):
        await gate.check("acme", "ann", "writer")
        await gate.check("other", "ann", "writer")
    assert len(asked) == 1
    (await machine.budgets.reserve(replace(ANN, conversation=None), None, 100)).settle(None, 99)
    await machine.settled()
    gate = BudgetGate(machine.budgets)
    for _ in range(3):
        with pytest.raises(BudgetSpent, match=r"tenants\.acme\.user_budget\.tokens_per_day"):
            await gate.check("acme", "ann", "writer")
    with pytest.raises(BudgetSpent, match=r"allows 100 tokens, and 99 tokens is spent; it starts anew at"):
        await gate.check("acme", "ann", "writer")
    await gate.check("acme", "bob", "writer")
    approved = {"tokens_per_day": 100, "on_breach": "approval"}
    machine.settings = settings(user=approved)
    await BudgetGate(machine.budgets).check("acme", "ann", "writer")


RACER = """
import asyncio, json, sys
from tests.llm.test_budgets import ANN, machine_on, settings
from dayshift.domain.errors import BudgetSpent

async def race():
    won = 0
    async with machine_on(*sys.argv[1:]) as machine:
        machine.settings = settings(tenant={"usd_per_day": 1.0})
        print("ready", flush=True)
        sys.stdin.readline()
        async def some():
            nonlocal won
            while True:
                try:
                    hold = await machine.budgets.reserve(ANN, 0.01, 1, max_wait_seconds=20)
                except BudgetSpent:
                    return
                won += 1
                await asyncio.sleep(0.05)
                hold.settle(0.01, 1)
        await asyncio.gather(*(some() for _ in range(3)))
        await machine.settled()
    print(json.dumps(won), flush=True)

asyncio.run(race())
"""


async def test_two_processes_that_race_for_the_last_cent_spend_it_once(migrated_database_url, valkey_url):
    racers = [
        await asyncio.create_subprocess_exec(
            sys.executable,
            "-c",
            RACER,
            migrated_database_url,
            valkey_url,
            stdin=asyncio.subprocess.PIPE,
            stdout=asyncio.subprocess.PIPE,
        )
        for _ in range(2)
    ]
    for racer in racers:
        assert await racer.stdout.readline() == b"ready\n"
    for racer in racers:
        racer.stdin.write(b"go\n")
    won = [json.loads((await racer.communicate())[0]) for racer in racers]
    assert sum(won) == 100
    assert min(won) > 0
