"""Servers for one machine, as private child processes: PostgreSQL, Valkey, and a small local model.

    start_engines(data_dir)     PostgreSQL and Valkey on a data folder, with their URLs
    running_engines(data_dir)   the URLs of engines that another process of the same user runs on that folder
    start_local_model(data_dir) a small model with an OpenAI-compatible API
    spawn_guarded(launch)       any program, ended when we end

Read `guard.py` first: it holds the promise that no server outlives us.
"""

from dayshift.embedded.engines import Engines, start_engines
from dayshift.embedded.folder import running_engines
from dayshift.embedded.guarded import Guarded, GuardFailed, Launch, spawn_guarded
from dayshift.embedded.local_model import LocalModel, start_local_model
from dayshift.embedded.readiness import EngineFailed

__all__ = [
    "EngineFailed",
    "Engines",
    "GuardFailed",
    "Guarded",
    "Launch",
    "LocalModel",
    "running_engines",
    "spawn_guarded",
    "start_engines",
    "start_local_model",
]
