"""Deploys without downtime. The question of `benchmarks/rolling.py`, asked in small."""

import pytest
from benchmarks.rolling import MUST_NOT_BE, under_load

from benchmarks import harness

pytestmark = pytest.mark.system


def test_a_rolling_restart_under_load_fails_no_request_and_counts_nothing() -> None:
    with harness.serve(gateways=1, workers=2, slots=50) as served:
        workers = {worker["id"] for worker in served.workers()}
        figures = harness.run(under_load(served, 1, per_second=30, readers=5))
        assert {figure: figures[figure] for figure in MUST_NOT_BE} == dict.fromkeys(MUST_NOT_BE, 0)
        assert figures["streams"] >= 5
        assert figures["streams_resumed"] >= 1, "each reader was cut off by the gateway that left"
        assert workers.isdisjoint(worker["id"] for worker in served.workers())
