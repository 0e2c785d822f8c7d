"""Gives birth to worker processes: `python -m tests.frameworks.nursery EXAMPLE`.

It imports a framework once and forks, so that a worker stands within a fifth of a second where it would take two or three;
that makes a loop of hundreds of them bearable. Each is a process of its own, with its own connections and its own
import of the example. One line on stdin orders one (a plan by which it dies, or `null`); two lines on stdout are its pid and, when it
has ended, its wait status.
"""

import ast
import asyncio
import gc
import importlib
import os
import signal
import sys
from pathlib import Path

import msgspec
import uvloop

from dayshift.agents import load
from dayshift.llm.capture import capturing
from tests.frameworks.killing import Plan, die_by
from tests.worker.house import House, addresses_now, opened

_OUR_OWN = frozenset({"shop", "checks"})


def main(example: Path) -> None:
    for module in _imports_of(example):
        importlib.import_module(module)
    gc.freeze()
    for line in sys.stdin:
        plan = msgspec.json.decode(line, type=Plan | None)
        pid = os.fork()
        if pid == 0:
            _live(example, plan)
        _say(pid)
        _say(os.waitpid(pid, 0)[1])


def _live(example: Path, plan: Plan | None) -> None:
    """The child's life. It never returns."""
    os.dup2(os.open(os.environ["NURSERY_LOG"], os.O_WRONLY | os.O_CREAT | os.O_APPEND), 1)
    status = 1
    try:
        if plan is not None:
            die_by(plan, os.environ["OPENAI_BASE_URL"].removesuffix("/v1"))
        with capturing(addresses_now):
            uvloop.run(_work(example))
        status = 0
    finally:
        os._exit(status)


async def _work(example: Path) -> None:
    loaded = load(str(example))
    house = House(os.environ["HOUSE_DATABASE"], os.environ["HOUSE_VALKEY"])
    async with opened(house, rebuild=False):
        worker = house.make_worker(loaded, slots=10)
        asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, worker.drain)
        await worker.run()


def _imports_of(example: Path) -> list[str]:
    names: list[str] = []
    for node in ast.parse(example.read_text()).body:
        if isinstance(node, ast.Import):
            names += [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom) and node.module:
            names.append(node.module)
    return [name for name in names if name not in _OUR_OWN]


def _say(number: int) -> None:
    sys.stdout.write(f"{number}\n")
    sys.stdout.flush()


if __name__ == "__main__":
    main(Path(sys.argv[1]))
