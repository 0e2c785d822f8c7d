"""Faults of the two engines. Only one of them is in trouble at a time most of the time, but nothing forbids both."""

import asyncpg

from tests.verifier.fleet import Fleet
from tests.verifier.menu.card import Made, fault
from tests.verifier.plan import Planned
from tests.verifier.record import LEDGER, PLANE, Hit

FROZEN = (13.0, 16.0)


@fault("valkey.emptied", "valkey", weight=5, rest=6)
async def valkey_emptied(fleet: Fleet, planned: Planned) -> Made:
    await fleet.valkey.flushall()
    yield Hit(cuts=(PLANE,))


@fault("valkey.killed", "valkey", weight=4, lasts=(0.0, 3.0), rest=6)
async def valkey_killed(fleet: Fleet, planned: Planned) -> Made:
    await fleet.valkey.kill()
    yield Hit(cuts=(PLANE,))
    await fleet.valkey.restart_empty()


@fault("valkey.set-back", "valkey", weight=3, lasts=(1.0, 8.0), rest=6)
async def valkey_set_back(fleet: Fleet, planned: Planned) -> Made:
    """Restarted with what it knew some seconds ago, as a lagging replica that is promoted."""
    snapshot = await fleet.valkey.save_snapshot()
    yield Hit(cuts=(PLANE,))
    await fleet.valkey.restart_with(snapshot)
    snapshot.unlink()


@fault("valkey.frozen", "valkey", weight=1, lasts=FROZEN, rest=8, slow=True)
async def valkey_frozen(fleet: Fleet, planned: Planned) -> Made:
    fleet.valkey.freeze()
    yield Hit(cuts=(PLANE,))
    fleet.valkey.thaw()


@fault("postgres.killed", "postgres", weight=2, lasts=(0.0, 2.0), rest=10)
async def postgres_killed(fleet: Fleet, planned: Planned) -> Made:
    await fleet.postgres.kill()
    yield Hit(cuts=(LEDGER,))
    await fleet.postgres.start()


@fault("postgres.restarted", "postgres", weight=3, rest=10)
async def postgres_restarted(fleet: Fleet, planned: Planned) -> Made:
    """pg_ctl restart -m immediate."""
    await fleet.postgres.restart_immediate()
    yield Hit(cuts=(LEDGER,))


@fault("postgres.frozen", "postgres", weight=1, lasts=FROZEN, rest=12, slow=True)
async def postgres_frozen(fleet: Fleet, planned: Planned) -> Made:
    fleet.postgres.freeze()
    yield Hit(cuts=(LEDGER,))
    fleet.postgres.thaw()


@fault("postgres.disk-full", "postgres", weight=1, lasts=(3.0, 8.0), rest=12)
async def postgres_disk_full(fleet: Fleet, planned: Planned) -> Made:
    """Nothing more can be written; where the log itself cannot be, the server ends and has to be started again."""
    fleet.postgres.fill_disk()
    yield Hit(cuts=(LEDGER,))
    fleet.postgres.free_disk()
    if not await _answers(fleet.postgres.url):
        await fleet.postgres.kill()
        await fleet.postgres.start()


async def _answers(url: str) -> bool:
    try:
        connection = await asyncpg.connect(url, timeout=5)
        await connection.execute("CREATE TEMP TABLE room AS SELECT 1")
        await connection.close()
    except (OSError, TimeoutError, asyncpg.PostgresError):
        return False
    return True
