"""How often each loop looks, and how long it waits before it acts. The defaults are the protocol's (DESIGN section 5)."""

import math

from msgspec import Struct

from dayshift.domain.errors import WrongUse


class MaintenanceConfig(Struct, frozen=True, kw_only=True):
    """All in seconds. Making the intervals longer costs time after a fault and nothing else."""

    rescue_interval: float = 1.0
    silent_after: float = 10.0  # without a beat, a worker is dead once its lease in the hot plane is gone as well
    rescue_again_after: float = 5.0  # a released worker's tasks are announced again until somebody takes them over
    orphans_interval: float = 300.0
    rebuild_interval: float = 1.0
    announce_interval: float = 2.0
    heads_interval: float = 10.0
    delayed_interval: float = 60.0
    expire_interval: float = 1.0
    wake_interval: float = 1.0
    schedule_interval: float = 1.0
    family_interval: float = 2.0
    lost_children_interval: float = 30.0
    depth_interval: float = 1.0
    stranded_interval: float = 15.0
    depth_duty_ratio: float = 0.05  # counting takes at most this share of one connection's time
    janitor_interval: float = 60.0
    partitions_interval: float = 3_600.0
    conversations_interval: float = 3_600.0

    def __post_init__(self) -> None:
        for name in self.__struct_fields__:
            value = getattr(self, name)
            if not math.isfinite(value) or value <= 0:
                raise WrongUse(f"maintenance.{name} must be a positive number, not {value}")
        if self.depth_duty_ratio > 1:
            raise WrongUse(f"maintenance.depth_duty_ratio must be at most 1, not {self.depth_duty_ratio}")
