"""A worker: a process that claims tasks and runs attempts. Read `worker.py` first, then `executor.py` and `heartbeat.py`."""

from dayshift.worker.heartbeat import Planes
from dayshift.worker.lease import Lease
from dayshift.worker.quarantine import Process, SpawnQuarantine
from dayshift.worker.worker import GRACE_SECONDS, Worker

__all__ = ["GRACE_SECONDS", "Lease", "Planes", "Process", "SpawnQuarantine", "Worker"]
