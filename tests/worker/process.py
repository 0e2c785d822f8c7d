"""A worker process as app.py would start it: `python -m tests.worker.process worker | alone TASK WORKER_ID`."""

import asyncio
import os
import signal
import sys

from dayshift.agents import load
from dayshift.llm.capture import capturing
from dayshift.worker import Lease
from tests.worker.house import House, addresses_now, llm_layer, opened


async def main(words: list[str]) -> None:
    house = House(os.environ["HOUSE_DATABASE"], os.environ["HOUSE_VALKEY"])
    with capturing(addresses_now):
        await work(house, words)


async def work(house: House, words: list[str]) -> None:
    async with opened(house, rebuild=False), llm_layer(house) as llm:
        loop = asyncio.get_running_loop()
        alone = words[0] == "alone"
        options = {"lease": Lease(words[2]), "is_quarantine": True, "slots": 1} if alone else {"slots": 10}
        worker = house.make_worker(load(os.environ["HOUSE_AGENTS"]), **llm, **options)
        loop.add_signal_handler(signal.SIGTERM, worker.drain)
        await (worker.run_alone(words[1]) if alone else worker.run())


if __name__ == "__main__":
    asyncio.run(main(sys.argv[1:]))
