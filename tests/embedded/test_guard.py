import contextlib
import os
import signal
import subprocess
import sys
import threading
from pathlib import Path

import psutil
import pytest

from dayshift.embedded import GuardFailed, Launch, spawn_guarded
from tests.embedded.helpers import assert_all_end, wait_until

LINUX = sys.platform.startswith("linux")
SLEEP = ["sleep", "1000"]

# Starts a guarded sleep, says the pids of itself, guard and program, and waits.
PARENT = r"""
import os, signal, sys
from pathlib import Path
from dayshift.embedded import Launch, spawn_guarded
signal.signal(signal.SIGINT, signal.default_int_handler)  # a shell's background jobs inherit that it is ignored
guarded = spawn_guarded(Launch(argv=["sleep", "1000"], log=Path(sys.argv[1])))
if "fork" in sys.argv and os.fork() == 0:
    os.write(1, b"%d\n" % os.getpid())
    signal.pause()
os.write(1, b"%d %d\n" % (guarded.guard_pid, guarded.pid))
signal.pause()
"""


@pytest.fixture
def log(tmp_path):
    return tmp_path / "a log"


@contextlib.contextmanager
def parent_process(log, *flags, **how):
    command = [sys.executable, "-c", PARENT, log, *flags]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True, **how) as parent:
        try:
            yield parent
        finally:
            parent.kill()


def test_a_program_runs_and_stops_and_stopping_twice_is_safe(log):
    guarded = spawn_guarded(Launch(argv=SLEEP, log=log))
    assert psutil.Process(guarded.pid).name() == "sleep"
    assert guarded.exit_status() is None
    assert guarded.stop() == 128 + signal.SIGTERM
    assert guarded.stop() == 128 + signal.SIGTERM
    assert not psutil.pid_exists(guarded.pid)


def test_exit_status_and_output_are_passed_on(log):
    guarded = spawn_guarded(Launch(argv=["sh", "-c", "echo out; echo err >&2; exit 7"], log=log))
    assert guarded.wait(10) == 7
    assert log.read_text() == "out\nerr\n"
    assert guarded.stop() == 7


def test_secrets_go_through_standard_input(log):
    guarded = spawn_guarded(Launch(argv=["cat"], log=log, stdin="a secret\n"))
    assert guarded.wait(10) == 0
    assert log.read_text() == "a secret\n"


def test_a_program_that_does_not_exist_is_an_error_with_its_name(log):
    with pytest.raises(GuardFailed, match="no-such-program"):
        spawn_guarded(Launch(argv=["/no-such-program"], log=log))


def test_a_program_that_ignores_each_stage_is_killed(log):
    script = "import signal; signal.signal(signal.SIGTERM, signal.SIG_IGN); print('ready', flush=True); signal.pause()"
    guarded = spawn_guarded(Launch(argv=[sys.executable, "-c", script], log=log, stages=[(signal.SIGTERM, 0.1)]))
    wait_until(lambda: "ready" in log.read_text())
    assert guarded.stop() == 128 + signal.SIGKILL


def test_the_stages_are_taken_in_order(log):
    script = "trap 'echo first' TERM; trap 'echo second; exit 3' INT; echo ready; while :; do sleep 0.02; done"
    launch = Launch(argv=["sh", "-c", script], log=log, stages=[(signal.SIGTERM, 0.3), (signal.SIGINT, 10)])
    guarded = spawn_guarded(launch)
    wait_until(lambda: "ready" in log.read_text())
    assert guarded.stop() == 3
    assert log.read_text().split() == ["ready", "first", "second"]


def test_a_killed_parent_takes_its_program_along(log):
    with parent_process(log) as parent:
        others = [psutil.Process(int(pid)) for pid in parent.stdout.readline().split()]
        parent.kill()
        assert_all_end(others, within_seconds=5)


@pytest.mark.skipif(not LINUX, reason="death signals are Linux's")
def test_a_killed_guard_takes_its_program_along(log):
    guarded = spawn_guarded(Launch(argv=SLEEP, log=log))
    program = psutil.Process(guarded.pid)
    os.kill(guarded.guard_pid, signal.SIGKILL)
    assert_all_end([program], within_seconds=5)
    guarded.stop()


def test_a_fork_of_the_parent_does_not_keep_the_program_alive(log):
    with parent_process(log, "fork") as parent:
        lines = sorted((parent.stdout.readline().split(), parent.stdout.readline().split()), key=len)
        (fork,), others = lines[0], [psutil.Process(int(pid)) for pid in lines[1]]
        parent.kill()
        try:
            assert_all_end(others, within_seconds=5)
            assert psutil.pid_exists(int(fork))
        finally:
            os.kill(int(fork), signal.SIGKILL)


def test_the_end_of_the_thread_that_started_it_means_nothing(log):
    started = []
    thread = threading.Thread(target=lambda: started.append(spawn_guarded(Launch(argv=SLEEP, log=log))))
    thread.start()
    thread.join()
    assert started[0].wait(0.3) is None
    started[0].stop()


def test_ctrl_c_in_the_terminal_reaches_the_parent_alone(log):
    with parent_process(log, start_new_session=True) as parent:
        guard, program = (psutil.Process(int(pid)) for pid in parent.stdout.readline().split())
        assert os.getpgid(guard.pid) != os.getpgid(parent.pid)
        assert os.getsid(program.pid) == os.getsid(guard.pid) != os.getsid(parent.pid)
        os.killpg(parent.pid, signal.SIGINT)  # what a terminal does
        assert_all_end([guard, program], within_seconds=5)  # as the parent ended, in the orderly way
    assert "KeyboardInterrupt" not in log.read_text()


def test_a_guard_that_is_asked_to_end_stops_its_program(log):
    guarded = spawn_guarded(Launch(argv=SLEEP, log=log))
    os.kill(guarded.guard_pid, signal.SIGTERM)
    assert guarded.wait(10) == 128 + signal.SIGTERM


def test_folders_to_remove_go_with_the_program(log, tmp_path):
    folder = tmp_path / "to remove"
    (folder / "below").mkdir(parents=True)
    spawn_guarded(Launch(argv=SLEEP, log=log, remove=[folder])).stop()
    assert not folder.exists()


@pytest.mark.skipif(not LINUX, reason="needs /proc")
def descriptors_of(pid):
    return {int(path.name) for path in Path(f"/proc/{pid}/fd").iterdir()}


def test_nothing_but_what_was_named_is_inherited(log):
    reader, writer = os.pipe()
    os.set_inheritable(reader, True)
    guarded = spawn_guarded(Launch(argv=SLEEP, log=log, descriptors=[writer]))
    try:
        # A program that is just being loaded has its libraries open; what it inherited stays.
        wait_until(lambda: descriptors_of(guarded.pid) == {0, 1, 2, writer})
    finally:
        guarded.stop()
        os.close(reader)
        os.close(writer)
