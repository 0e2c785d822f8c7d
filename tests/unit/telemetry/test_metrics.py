"""Metrics of several real processes: added up while they live, kept when they are killed, counted once."""

import os
import signal
import subprocess
import sys
import textwrap
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from prometheus_client.parser import text_string_to_metric_families

from dayshift.config import Config
from dayshift.domain import events as e
from dayshift.domain.clock import now
from dayshift.telemetry import emit, render_metrics, setup, shut_down
from dayshift.telemetry.metrics import table
from dayshift.telemetry.metrics.board import SLOTS, Board, Counter
from dayshift.telemetry.metrics.counting import Counting
from dayshift.telemetry.metrics.folder import gauges, read
from dayshift.telemetry.metrics.table import METRICS, TASKS_ACCEPTED

CHILD = textwrap.dedent(
    """
    import sys
    from pathlib import Path
    from dayshift.config import Config
    from dayshift.domain import events as e
    from dayshift.telemetry import emit, setup
    setup(Config(data_dir=Path(sys.argv[1]), log_level="error"), "worker")
    for _ in range(int(sys.argv[2])):
        emit(e.TaskAccepted(task_id="task_1", agent="echo", tenant="acme", queue="default"))
        emit(e.LedgerCommit(operation="start", rows=1, duration_seconds=0.003))
    emit(e.WorkerSlots(free=3, busy=2))
    print("counted", flush=True)
    sys.stdin.read()
    """
)


@pytest.fixture
def values(tmp_path: Path) -> Iterator[Callable[[], dict[str, float]]]:
    setup(Config(data_dir=tmp_path, log_level="error"), "gateway")

    def values() -> dict[str, float]:
        families = text_string_to_metric_families(render_metrics().decode())
        return {
            sample.name + "".join(f" {value}" for value in sample.labels.values()): sample.value
            for family in families
            for sample in family.samples
        }

    yield values
    shut_down()


def child(folder: Path, count: int) -> subprocess.Popen[str]:
    process = subprocess.Popen(
        [sys.executable, "-c", CHILD, str(folder), str(count)], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    )
    assert process.stdout is not None
    assert process.stdout.readline() == "counted\n"
    return process


def end(process: subprocess.Popen[str], how: int | None) -> None:
    if how is not None:
        process.send_signal(how)
    process.communicate(timeout=30)


def test_processes_are_added_up_and_the_dead_are_kept_once(tmp_path: Path, values: Callable[[], dict[str, float]]):
    emit(e.TaskAccepted(task_id="task_1", agent="echo", tenant="acme", queue="default"))
    one, two = child(tmp_path, 10), child(tmp_path, 5)
    seen = values()
    assert seen["dayshift_tasks_accepted_total echo"] == 16
    assert seen["dayshift_worker_slots free"] == 6
    end(one, signal.SIGKILL)
    end(two, None)
    for _ in range(3):
        seen = values()
        assert seen["dayshift_tasks_accepted_total echo"] == 16
        assert seen["dayshift_ledger_commit_seconds_count start"] == 15
        assert "dayshift_worker_slots free" not in seen  # nobody who is alive has slots
    assert len(list((tmp_path / "metrics").glob("*.board"))) == 1


def test_a_crash_while_folding_counts_nothing_twice(
    tmp_path: Path, values: Callable[[], dict[str, float]], monkeypatch: pytest.MonkeyPatch
):
    end(child(tmp_path, 10), signal.SIGKILL)
    with monkeypatch.context() as patch:
        patch.setattr("dayshift.telemetry.metrics.folder._remove", lambda _path: None)
        assert values()["dayshift_tasks_accepted_total echo"] == 10
    assert values()["dayshift_tasks_accepted_total echo"] == 10
    assert values()["dayshift_tasks_accepted_total echo"] == 10


def test_every_event_that_counts(values: Callable[[], dict[str, float]]):
    task = {"task_id": "task_1", "agent": "echo", "tenant": "acme"}
    emit(e.TaskStarted(**task, attempt=1, queued_seconds=0.02))
    emit(e.TaskFinished(**task, attempt=1, status="failed", duration_seconds=3.0, error_code="timeout"))
    emit(e.TaskRetrying(**task, attempt=1, error_code="agent_error", error_message="x", delay_seconds=1))
    emit(e.HttpRequest(route="/v1/tasks", method="POST", status=202, duration_seconds=0.003))
    emit(e.DepthMeasured(queue="default", ready=5, delayed=4, running=3, waiting=2, oldest_seconds=1.5))
    emit(e.TasksStranded(agent="echo", versions=["v1"], tasks=7))
    emit(e.LoopLag(lag_seconds=0.25))
    emit(e.BreakerChanged(provider="openai", model="gpt-5", state="open"))
    emit(e.BreakerChanged(provider="openai", model="gpt-4", state="open"))
    emit(e.BreakerChanged(provider="openai", model="gpt-4", state="half-open"))
    emit(e.LlmLimitWaited(provider="openai", seconds=0.3))
    emit(e.LlmLimitUsed(provider="openai", limit="tokens", ratio=0.4))
    emit(e.LlmDegraded(provider="openai", model="gpt-5", how="fallback", reason="away"))
    emit(e.WebhookDelivery(outcome="held"))
    emit(e.Fault(where="claim", error_type="ValueError", message="odd"))
    seen = values()
    expected = {
        "dayshift_tasks_finished_total echo failed": 1,
        "dayshift_task_queued_seconds_count echo": 1,
        "dayshift_task_queued_seconds_sum echo": 0.02,
        "dayshift_task_queued_seconds_bucket echo 0.01": 0,
        "dayshift_task_queued_seconds_bucket echo 0.025": 1,
        "dayshift_task_queued_seconds_bucket echo +Inf": 1,
        "dayshift_task_duration_seconds_sum echo": 3.0,
        "dayshift_http_request_duration_seconds_count /v1/tasks 202": 1,
        "dayshift_queue_depth default ready": 5,
        "dayshift_queue_depth default waiting": 2,
        "dayshift_queue_oldest_seconds default": 1.5,
        "dayshift_tasks_stranded echo": 7,
        "dayshift_event_loop_lag_seconds": 0.25,
        "dayshift_llm_limit_wait_seconds_sum openai": 0.3,
        "dayshift_llm_limit_used_ratio tokens openai": 0.4,
        "dayshift_llm_degraded_total fallback": 1,
        "dayshift_webhook_deliveries_total held": 1,
        "dayshift_breaker_state gpt-5 openai": 2,
        "dayshift_breaker_state gpt-4 openai": 1,
        "dayshift_errors_total timeout attempt": 1,
        "dayshift_errors_total agent_error attempt": 1,
        "dayshift_errors_total ValueError claim": 1,
    }
    assert {name: seen.get(name) for name in expected} == expected


def test_no_label_grows_with_use():
    labels = {label for metric in METRICS for label in metric.labels}
    of_work = {"agent", "status", "queue", "state", "kind", "outcome", "provider", "model"}
    assert labels == of_work | {"where", "type", "operation", "route", "limit", "how"}


def test_every_metric_is_shown():
    assert {value for value in vars(table).values() if isinstance(value, table.Metric)} == set(METRICS)


def test_the_newest_measurement_wins_and_old_ones_fade():
    time = now().timestamp()
    depth = "dayshift_queue_depth"
    merged = gauges(
        [
            {(depth, ("a", "ready")): [5.0, time - 1], (depth, ("gone", "ready")): [7.0, time - 20]},
            {(depth, ("a", "ready")): [9.0, time]},
        ]
    )
    assert merged == {(depth, ("a", "ready")): [9.0, time], (depth, ("gone", "ready")): [0.0, time - 20]}
    assert gauges([{(depth, ("a", "ready")): [5.0, time - 3600]}]) == {}


def test_a_full_board_says_so():
    board = Board.in_memory()
    counting = Counting(board)
    for n in range(SLOTS + 10):
        counting._accepted.add((f"agent{n}",))
    assert board.values[0] >= 10  # the first series is that of what was dropped


def test_a_new_board_is_never_taken_for_a_dead_ones(tmp_path: Path):
    boards = [Board.in_folder(tmp_path, "worker") for _ in range(5)]
    for board in boards:
        Counter(board, TASKS_ACCEPTED, lambda: None).add(("echo",))
        assert read(tmp_path)[TASKS_ACCEPTED.name, ("echo",)] == [boards.index(board) + 1.0]
    for board in boards:
        board.release()
    assert read(tmp_path)[TASKS_ACCEPTED.name, ("echo",)] == [5.0]
    assert list(tmp_path.glob("*.board")) == []


@pytest.mark.skipif(os.geteuid() == 0, reason="root may write everywhere")
def test_a_folder_that_cannot_be_written_stops_nobody(tmp_path: Path):
    tmp_path.chmod(0o500)
    setup(Config(data_dir=tmp_path, log_level="error"), "gateway")
    emit(e.TaskAccepted(task_id="task_1", agent="echo", tenant="acme", queue="default"))
    assert b'dayshift_tasks_accepted_total{agent="echo"} 1.0' in render_metrics()
    shut_down()


def test_a_file_where_the_folder_should_be_stops_nobody(tmp_path: Path):
    (tmp_path / "metrics").write_text("")
    setup(Config(data_dir=tmp_path, log_level="error"), "gateway")
    emit(e.TaskAccepted(task_id="task_1", agent="echo", tenant="acme", queue="default"))
    assert b'dayshift_tasks_accepted_total{agent="echo"} 1.0' in render_metrics()
    shut_down()
