"""A gateway, from Python: `dayshift.Client`.

client.py     the calls
sending.py    one request, and when it is repeated
streaming.py  a task's events, across gateways that come and go
problems.py   what a refusal means
shapes.py     tasks and events, as a caller has them
"""

from dayshift.client.client import Client
from dayshift.client.shapes import Event, Task, TaskFailed

__all__ = ["Client", "Event", "Task", "TaskFailed"]
