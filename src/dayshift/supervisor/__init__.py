"""Keeps processes alive: starts them, replaces them one at a time, and stops them in order.

Knows processes, signals and descriptors; what each process does, and what a death means, is passed in by `app.py`.
"""

from dayshift.supervisor.child import LIFELINE_FD, READY_FD, Child, ChildFailed, Command
from dayshift.supervisor.fleet import Fleet
from dayshift.supervisor.lifecycle import Lifecycle
from dayshift.supervisor.listening import adopt, listen
from dayshift.supervisor.machine import GRACE_SECONDS, Machine, Plan
from dayshift.supervisor.post import Post

__all__ = [
    "GRACE_SECONDS",
    "LIFELINE_FD",
    "READY_FD",
    "Child",
    "ChildFailed",
    "Command",
    "Fleet",
    "Lifecycle",
    "Machine",
    "Plan",
    "Post",
    "adopt",
    "listen",
]
