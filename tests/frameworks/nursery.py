"""Gives birth to worker processes: `python -m tests.frameworks.nursery EXAMPLE [--plainly]`.

It imports a framework once and forks, so that a worker stands within a fifth of a second where it would take two or three;
that makes a loop of hundreds of them bearable. Each is a process of its own, with its own connections and its own
import of the example. One line on stdin orders one (a plan by which it dies, or `null`); two lines on stdout are its pid and, when it
has ended, its wait status.

With `--plainly` what is left of the example without dayshift runs before all that, whole and streamed, and both answers are said
in a first line. That is a test of its own; and what the framework has imported late by then is imported before the births.
"""

import ast
import asyncio
import contextlib
import gc
import importlib
import os
import signal
import sys
import traceback
from pathlib import Path
from typing import Any

import msgspec
import uvloop

from dayshift.agents import load
from dayshift.llm.capture import capturing
from tests.frameworks.examples import AGENT, FOLDER, QUESTION, without_dayshift
from tests.frameworks.killing import Plan, die_by
from tests.worker.house import House, addresses_now, llm_layer, opened

_OUR_OWN = frozenset({"shop", "checks", "openai_agents", "pydantic_agent"})


def main(example: Path, *, plainly: bool) -> None:
    orders, told = sys.stdin, os.fdopen(os.dup(1), "w", buffering=1)
    os.dup2(os.open(os.environ["NURSERY_LOG"], os.O_WRONLY | os.O_CREAT | os.O_APPEND), 1)  # what agents print
    for module in _imports_of(example):
        importlib.import_module(module)
    if plainly:
        print(msgspec.json.encode(_plain_answers(example)).decode(), file=told)
    gc.freeze()
    for line in orders:
        plan = msgspec.json.decode(line, type=Plan | None)
        pid = os.fork()
        if pid == 0:
            _live(example, plan)
        print(pid, file=told)
        print(os.waitpid(pid, 0)[1], file=told)


def _plain_answers(example: Path) -> list[str]:
    """Told by a child: what frameworks keep for a whole process, such as clients, would be of no use to those born later."""
    reader, writer = os.pipe()
    if os.fork() == 0:
        answers = asyncio.run(_run_plainly(example))
        os.write(writer, msgspec.json.encode((answers, sorted(sys.modules))))
        os._exit(0)
    os.close(writer)
    with os.fdopen(reader, "rb") as told:
        answers, modules = msgspec.json.decode(told.read(), type=tuple[list[str], list[str]])
    os.wait()
    for module in modules:
        if module not in _OUR_OWN:
            with contextlib.suppress(ImportError):
                importlib.import_module(module)
    return answers


async def _run_plainly(example: Path) -> list[str]:
    text = without_dayshift(example)
    assert "dayshift" not in text.split('"""')[2], "the docstring alone may speak of it"
    sys.path.insert(0, str(FOLDER))
    names: dict[str, Any] = {"__name__": example.stem}
    exec(compile(text, str(example), "exec"), names)
    return [f"{await names[AGENT](QUESTION, stream=streams)}" for streams in (False, True)]


def _live(example: Path, plan: Plan | None) -> None:
    """The child's life. It never returns."""
    status = 1
    try:
        if plan is not None:
            die_by(plan, os.environ["OPENAI_BASE_URL"].removesuffix("/v1"))
        with capturing(addresses_now):
            uvloop.run(_work(example))
        status = 0
    except BaseException:  # noqa: BLE001 - told, as nothing else would
        traceback.print_exc()
    finally:
        os._exit(status)


async def _work(example: Path) -> None:
    loaded = load(str(example))
    house = House(os.environ["HOUSE_DATABASE"], os.environ["HOUSE_VALKEY"])
    async with opened(house, rebuild=False), llm_layer(house) as llm:
        worker = house.make_worker(loaded, slots=10, **llm)
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


if __name__ == "__main__":
    main(Path(sys.argv[1]), plainly="--plainly" in sys.argv)
