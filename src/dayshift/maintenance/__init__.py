"""maintenance/: the loops that repair and clean. Any number of processes may run them at the same time.

    rebuilder       the hot plane was lost: builds it again from the ledger         1 s, and when woken
    rescuer         a worker died: its tasks are queued again                       1 s
    announcer       a nudge was lost: the task is announced again                   2 s
    delayed_loader  tasks that become due soon are brought into the hot plane       60 s
    expirer         tasks that nobody ran in time end as failed                     1 s
    scheduler       a schedule's time has come: its task is made                    1 s
    depth_gauge     counts what waits                                               1 s, at most 5 % of the time
    stranded_gauge  counts what no living code version may go on with               15 s
    janitor         retention, old keys, old workers, partitions ahead              60 s

Each has a `run_once`. Front door: `await maintenance.run(services, stop)`.
"""

from dayshift.maintenance.config import MaintenanceConfig
from dayshift.maintenance.runner import run

__all__ = ["MaintenanceConfig", "run"]
