"""One engine is lost in the middle of everything: clients are told the truth, and running work does not notice.

The question of `benchmarks/engines_lost.py`, asked in small.
"""

from collections.abc import Iterator
from pathlib import Path

import pytest
from benchmarks.engines import served_on_engines
from benchmarks.engines_lost import MUST_NOT_BE, QUICK, lose
from msgspec import Struct

from benchmarks import harness
from tests.faults.postgres import Postgres
from tests.faults.valkey import Valkey

pytestmark = pytest.mark.system


class Stand(Struct):
    served: harness.Served
    postgres: Postgres
    valkey: Valkey
    witness: Path


@pytest.fixture(scope="module")
def stand(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stand]:
    witness = tmp_path_factory.mktemp("lost") / "witness.txt"
    with served_on_engines(slots=QUICK.slots, variables={"WITNESS": str(witness)}) as (served, postgres, valkey):
        yield Stand(served, postgres, valkey, witness)


LOSSES = {
    "flushall": lambda stand: stand.valkey.flushall,
    "kill_valkey": lambda stand: stand.valkey.restart_empty,
    "restart_postgres": lambda stand: stand.postgres.restart_immediate,
}


@pytest.mark.parametrize("name", LOSSES)
def test_losing_one_engine_costs_no_task_no_attempt_and_no_request(stand: Stand, name: str) -> None:
    figures = harness.run(lose(stand.served, stand.witness, LOSSES[name](stand), QUICK))
    assert {figure: figures[figure] for figure in MUST_NOT_BE} == dict.fromkeys(MUST_NOT_BE, 0)
    assert figures["tasks"] > QUICK.running + QUICK.waiting
    assert figures["streams"] >= QUICK.readers
    if name != "restart_postgres":
        assert figures["refused_requests"] == 0, "to accept takes the ledger alone"
