"""Two minutes of everything at once, in every run of the tests. The long runs are made by hand (docs/howto/verify.md)."""

from pathlib import Path

import pytest

from tests.verifier.run import Options, verify


@pytest.mark.system
@pytest.mark.timeout(420)
async def test_two_minutes_of_fast_faults_break_no_promise(tmp_path: Path) -> None:
    said: list[str] = []
    options = Options(seed=20_261, programs=200, minutes=1.75, faults="fast", every_seconds=2.0)
    figures, violations = await verify(options, tmp_path / "run", said.append)
    assert not violations, (violations, said)
    assert figures["programs"] == 200
    assert figures["faults"] >= 30
    assert figures["losses"] > 0, "no worker was lost with anything in its hands: the run proves less than it says"
    work = figures["work"]
    assert min(work["calls_recorded"], work["acts_recorded"], work["replayed"], work["parked"]) > 20, work
