"""Taskiq's side: the broker on a Valkey stream (the one that acknowledges), results in Valkey, and two tasks."""

import os

from taskiq_redis import RedisAsyncResultBackend, RedisStreamBroker

from benchmarks.peers import model_calls, witness

model_calls.prepare()

options = {"idle_timeout": 10_000, "unacknowledged_lock_timeout": 5.0} if os.environ.get("VARIANT") == "best" else {}
broker = RedisStreamBroker(os.environ["VALKEY_URL"] + "/0", consumer_id="0", **options).with_result_backend(
    RedisAsyncResultBackend(os.environ["VALKEY_URL"] + "/1")
)


@broker.task(task_name="noop")
async def noop(number: int) -> int:
    """Nothing, and its number."""
    witness.enter()
    return number


@broker.task(task_name="agent")
async def agent(number: int, calls: int) -> int:
    """That many calls, one after another."""
    witness.enter()
    for turn in range(calls):
        await model_calls.call(number, turn)
    return number
