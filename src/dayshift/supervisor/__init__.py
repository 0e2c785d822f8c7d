"""Keeps processes alive: starts them, replaces them one at a time, and stops them in order.

Knows processes, signals and descriptors; what each process does, and what a death means, is passed in by `app.py`.
"""

from dayshift.supervisor.child import Child, ChildFailed, Command
from dayshift.supervisor.fleet import Fleet
from dayshift.supervisor.lifecycle import Lifecycle
from dayshift.supervisor.post import Post

__all__ = ["Child", "ChildFailed", "Command", "Fleet", "Lifecycle", "Post"]
