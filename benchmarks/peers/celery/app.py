"""Celery's side: Valkey as broker and result backend, and two plain functions (Celery has no async tasks)."""

import os

from celery import Celery

from benchmarks.peers import model_calls, witness

model_calls.prepare_blocking()

app = Celery(
    "peers",
    broker=os.environ["VALKEY_URL"] + "/0",
    backend=os.environ["VALKEY_URL"] + "/1",
    worker_prefetch_multiplier=int(os.environ.get("PREFETCH", "4")),
    worker_hijack_root_logger=False,
    broker_connection_retry_on_startup=True,
)
if os.environ.get("VARIANT") == "best":
    timeout = {"visibility_timeout": 10}
    app.conf.update(
        task_acks_late=True,
        task_reject_on_worker_lost=True,
        broker_transport_options=timeout | {"unacked_restore_interval": 1, "unacked_restore_throttle": 1},
        result_backend_transport_options=timeout,
        visibility_timeout=10,
    )


@app.task(name="noop")
def noop(number: int) -> int:
    """Nothing, and its number."""
    witness.enter()
    return number


@app.task(name="agent")
def agent(number: int, calls: int) -> int:
    """That many calls, one after another."""
    witness.enter()
    for turn in range(calls):
        model_calls.call_blocking(number, turn)
    return number
