"""Worker processes in groups of their own, and the CPU of process trees. Only what was started here is ever ended."""

import os
import signal
import subprocess
import time
from pathlib import Path

from benchmarks.peers.peer import Command, Place

GRACE_SECONDS = 5.0


class Group:
    """A program that was started as the leader of a process group of its own."""

    def __init__(self, command: Command, place: Place, log_name: str) -> None:
        (place.folder / "witness").mkdir(exist_ok=True)
        variables = {**os.environ, "WITNESS": str(place.folder / "witness"), **command.variables}
        with (place.folder / f"{log_name}.log").open("ab") as log:
            self.process = subprocess.Popen(
                command.arguments, env=variables, stdout=log, stderr=log, start_new_session=True, cwd=place.folder
            )
        self.pid = self.process.pid
        with (place.folder / "groups").open("a") as groups:
            groups.write(f"{self.pid}\n")

    def kill(self) -> None:
        """kill -9 of every process of the group, as when its host is lost."""
        kill_group(self.pid)
        self.process.wait()

    def stop(self) -> None:
        """Ask, wait a little, then kill what is left."""
        if self.process.poll() is None:
            self.process.terminate()
            try:
                self.process.wait(GRACE_SECONDS)
            except subprocess.TimeoutExpired:
                self.kill()
        kill_group(self.pid)


def kill_group(group: int) -> None:
    """End what is left of a group that we started."""
    try:
        os.killpg(group, signal.SIGKILL)
    except ProcessLookupError:
        return


def kill_leftovers(folder: Path) -> None:
    """End the groups that a run started and, having been ended itself, could not stop."""
    groups = folder / "groups"
    for line in groups.read_text().split() if groups.exists() else []:
        kill_group(int(line))


def cpu_seconds(roots: list[int]) -> float:
    """User and system time of these processes and all below them, those that have ended and were waited for included."""
    processes = _all_processes()
    wanted, frontier = set(roots), set(roots)
    while frontier:
        frontier = {pid for pid, (parent, _) in processes.items() if parent in frontier} - wanted
        wanted |= frontier
    ticks = sum(processes[pid][1] for pid in wanted if pid in processes)
    return ticks / os.sysconf("SC_CLK_TCK")


def _all_processes() -> dict[int, tuple[int, int]]:
    """Process id to its parent's and its ticks."""
    found = {}
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit():
            try:
                fields = (entry / "stat").read_text().rsplit(")", 1)[1].split()
            except (FileNotFoundError, ProcessLookupError):
                continue  # it ended while we looked
            found[int(entry.name)] = (int(fields[1]), sum(map(int, fields[11:15])))
    return found


def wait_until_listening(port: int, process: subprocess.Popen[bytes], seconds: float = 30.0) -> None:
    """Until a server of ours accepts connections."""
    import socket

    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        if process.poll() is not None:
            raise RuntimeError(f"{process.args!r} ended with status {process.returncode}")
        try:
            socket.create_connection(("127.0.0.1", port), timeout=1).close()
        except OSError:
            time.sleep(0.02)
        else:
            return
    raise RuntimeError(f"{process.args!r} did not listen on {port} within {seconds} s")


def free_port() -> int:
    """A port that nobody has now."""
    import socket

    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])
