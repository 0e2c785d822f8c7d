"""The task goes along into the threads that its agent starts, and nowhere else."""

import asyncio
import threading
from concurrent.futures import ThreadPoolExecutor

from dayshift.llm.capture import core
from dayshift.llm.capture.threads import carried_into_threads
from tests.llm.tape import Tape


def _seen_in_a_thread() -> object:
    seen: list[object] = []
    thread = threading.Thread(target=lambda: seen.append(core.current_recorder()))
    thread.start()
    thread.join()
    return seen[0]


async def test_executors_and_threads_of_a_task_belong_to_it():
    tape, started, submitted = Tape(), threading.Thread.start, ThreadPoolExecutor.submit
    with carried_into_threads(), ThreadPoolExecutor(1) as pool:
        token = core._recorder.set(tape)
        assert _seen_in_a_thread() is tape
        assert pool.submit(core.current_recorder).result() is tape
        assert await asyncio.get_running_loop().run_in_executor(None, core.current_recorder) is tape
        core._recorder.reset(token)
        assert _seen_in_a_thread() is None
        assert pool.submit(core.current_recorder).result() is None, "the pool's thread belongs to nobody"
    assert (threading.Thread.start, ThreadPoolExecutor.submit) == (started, submitted)
