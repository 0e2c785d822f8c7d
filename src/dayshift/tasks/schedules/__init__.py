"""Tasks that are made when their time has come: `due_times` (when), `catching_up` (what of what was missed), `scheduling` (making
them), `requests` and `schedules` (what people ask for).
"""

from dayshift.tasks.schedules.requests import ScheduleChange, ScheduledTask, ScheduleRequest
from dayshift.tasks.schedules.schedules import Schedules
from dayshift.tasks.schedules.scheduling import Scheduling

__all__ = ["ScheduleChange", "ScheduleRequest", "ScheduledTask", "Schedules", "Scheduling"]
