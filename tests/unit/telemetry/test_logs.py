"""The log pipeline of one process, written into a pipe and read back."""

import json
import logging
import os
import threading
import time
from collections.abc import Callable, Iterator
from typing import Any

import pytest
import structlog

from dayshift.domain.events import Fault, HttpRequest, LoopLag, Note, TaskAccepted, TaskFinished, TaskStarted
from dayshift.telemetry import bound, emit, event_classes
from dayshift.telemetry.lines import LINE_RULES
from dayshift.telemetry.logs import Logs, start_logs
from dayshift.telemetry.writer import LineWriter


def finished(status: str, **changes: Any) -> TaskFinished:
    fields = {"task_id": "task_1", "agent": "echo", "tenant": "acme", "attempt": 1, "duration_seconds": 0.5}
    return TaskFinished(status=status, **{**fields, **changes})


class Pipeline:
    """Logs that go into a pipe; `lines()` ends them and answers what was written."""

    def __init__(self, level: str, log_format: str) -> None:
        self._reading, self._writing = os.pipe()
        self._chunks: list[bytes] = []
        self._reader = threading.Thread(target=self._read)
        self._reader.start()
        self.logs: Logs = start_logs("worker", log_format, level, self._writing)  # type: ignore[arg-type] # a parameter of the test
        self._ended = False

    def _read(self) -> None:
        while chunk := os.read(self._reading, 65_536):
            self._chunks.append(chunk)

    def text(self) -> str:
        if not self._ended:
            self._ended = True
            self.logs.stop()
            os.close(self._writing)
            self._reader.join()
            os.close(self._reading)
        return b"".join(self._chunks).decode()

    def lines(self) -> list[dict[str, Any]]:
        return [json.loads(line) for line in self.text().splitlines()]


@pytest.fixture
def start() -> Iterator[Callable[..., Pipeline]]:
    pipelines: list[Pipeline] = []
    root = logging.getLogger()
    level = root.level

    def start(level: str = "info", log_format: str = "json") -> Pipeline:
        pipelines.append(Pipeline(level, log_format))
        return pipelines[-1]

    yield start
    for pipeline in pipelines:
        pipeline.text()
    root.setLevel(level)
    structlog.reset_defaults()


def test_every_event_class_has_a_rule():
    assert set(LINE_RULES) == set(event_classes())


def test_a_line_carries_the_events_fields_and_the_bound_ids(start: Callable[..., Pipeline]):
    pipeline = start()
    with bound(trace_id="t" * 32, worker_id="worker_1"):
        emit(finished("failed", error_code="timeout", error_message="took too long"))
    (line,) = pipeline.lines()
    assert line.pop("timestamp").endswith("Z")
    assert line == {
        "level": "warning",
        "event": "task.failed",
        "trace_id": "t" * 32,
        "worker_id": "worker_1",
        "task_id": "task_1",
        "agent": "echo",
        "tenant": "acme",
        "attempt": 1,
        "status": "failed",
        "duration_seconds": 0.5,
        "error_code": "timeout",
        "error_message": "took too long",
        "process": "worker",
        "pid": os.getpid(),
    }


def test_info_tells_the_end_of_a_task_but_not_its_way(start: Callable[..., Pipeline]):
    pipeline = start()
    emit(TaskAccepted(task_id="task_1", agent="echo", tenant="acme", queue="default"))
    emit(TaskStarted(task_id="task_1", agent="echo", tenant="acme", attempt=1, queued_seconds=0.1))
    emit(HttpRequest(route="/v1/tasks", method="POST", status=202, duration_seconds=0.01))
    emit(HttpRequest(route="/v1/tasks", method="POST", status=503, duration_seconds=0.01))
    emit(finished("succeeded"))
    assert [(line["level"], line["event"]) for line in pipeline.lines()] == [
        ("warning", "http.request"),
        ("info", "task.succeeded"),
    ]


def test_debug_tells_everything(start: Callable[..., Pipeline]):
    pipeline = start("debug")
    emit(LoopLag(lag_seconds=0.1))
    assert [line["event"] for line in pipeline.lines()] == ["loop.lag"]


def test_an_authors_own_lines_carry_the_ids(start: Callable[..., Pipeline]):
    pipeline = start()

    def look_up() -> None:
        raise ValueError("no such order, key sk-abcdefghijkl")

    with bound(task_id="task_1", attempt=2):
        logging.getLogger("shop").info("order %s", 7, extra={"order": 7})
        structlog.get_logger().warning("refund is late", order=8)
        try:
            look_up()
        except ValueError:
            logging.getLogger("shop").exception("lookup failed")
            structlog.get_logger().exception("lookup failed too")
    standard, structured, *failed = pipeline.lines()
    assert (standard["event"], standard["logger"], standard["order"]) == ("order 7", "shop", 7)
    assert (structured["event"], structured["level"], structured["order"]) == ("refund is late", "warning", 8)
    assert all((line["task_id"], line["attempt"]) == ("task_1", 2) for line in (standard, structured, *failed))
    assert all(line["level"] == "error" and "ValueError: no such order" in line["exception"] for line in failed)
    assert "abcdefghijkl" not in pipeline.text()


def test_a_flood_of_ended_tasks_is_thinned_and_says_so(start: Callable[..., Pipeline]):
    pipeline = start()
    for _ in range(1_000):
        emit(finished("succeeded"))
    lines = pipeline.lines()
    shown = sum(line["event"] == "task.succeeded" for line in lines)
    left_out = sum(line["lines"] for line in lines if line["event"] == "log.thinned")
    assert shown <= 200  # two seconds' worth, should a second have begun meanwhile
    assert shown + left_out == 1_000


def test_odd_values_are_written_all_the_same(start: Callable[..., Pipeline]):
    pipeline = start()

    class Unreadable:
        def __repr__(self) -> str:
            raise RuntimeError("no repr")

    structlog.get_logger().info("surrogate \ud800", big=2**80, nothing=float("nan"))
    structlog.get_logger().info("unreadable", value=Unreadable())
    emit(Note(message="still alive"))
    lines = pipeline.lines()
    assert lines[0]["event"] == "surrogate \ud800"
    assert lines[1] == {"level": "error", "event": "log.unreadable", "error": "RuntimeError"}
    assert lines[2]["message"] == "still alive"


def test_pretty_lines_are_for_people(start: Callable[..., Pipeline]):
    pipeline = start(log_format="pretty")
    emit(Fault(where="claim", error_type="ValueError", message="odd", stack="Traceback\n  here"))
    text = pipeline.text()
    assert "fault" in text
    assert "where=claim" in text
    assert text.endswith("Traceback\n  here\n")


def test_a_slow_reader_costs_lines_and_never_the_writer():
    reading, writing = os.pipe()
    writer = LineWriter(lambda line: str(line["n"]) + "x" * 1_000 if "n" in line else str(line), writing, most_lines=50)
    for n in range(1_000):  # nobody reads: the pipe takes some 64 lines, the buffer 50
        writer.put({"n": n})
    chunks: list[bytes] = []

    def read() -> None:
        while chunk := os.read(reading, 65_536):
            chunks.append(chunk)

    reader = threading.Thread(target=read)
    reader.start()
    assert writer.flush(10)
    writer.put({"n": 1_000})
    writer.stop()
    os.close(writing)
    reader.join()
    os.close(reading)
    text = b"".join(chunks).decode()
    assert "log.dropped" in text
    assert text.rstrip().endswith("1000" + "x" * 1_000)


def test_a_steady_producer_does_not_wake_the_writer():
    reading, writing = os.pipe()
    writer = LineWriter(str, writing)
    wakes = []
    wake, writer._wake.set = writer._wake.set, lambda: (wakes.append(1), wake())
    for n in range(30):
        writer.put({"n": n})
        time.sleep(0.01)
    assert len(wakes) < 15  # the first one, and those after a pause of this process
    writer.stop()
    os.close(writing)
    with os.fdopen(reading) as written:
        assert len(written.readlines()) == 30


def test_a_line_after_a_long_silence_is_written():
    reading, writing = os.pipe()
    writer = LineWriter(str, writing)
    writer.put({"n": 1})
    deadline = time.monotonic() + 10
    while writer._wake.is_set() and time.monotonic() < deadline:
        time.sleep(0.01)
    assert not writer._wake.is_set()  # it sleeps
    writer.put({"n": 2})
    assert writer.flush(10)
    writer.stop()
    os.close(writing)
    with os.fdopen(reading) as written:
        assert len(written.readlines()) == 2


def test_a_closed_stderr_is_survived():
    reading, writing = os.pipe()
    os.close(reading)
    writer = LineWriter(str, writing)
    writer.put({"n": 1})
    assert writer.flush(10)
    writer.stop()
    os.close(writing)
