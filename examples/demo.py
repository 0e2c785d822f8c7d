"""`make demo`: real requests through gateway, queue, workers and a local model, with a worker killed on the way.

Two workers answer real questions of three tenants. When about half is done, one worker is killed with SIGKILL. The exit status is 0
only when every task succeeded. KEEP=1 leaves everything running until Ctrl-C.
"""

import asyncio
import json
import os
import signal
import sys
import time
from pathlib import Path
from typing import Any

from demo_parts.client import FINAL, Client, Task
from demo_parts.show import Progress, print_results, short
from demo_parts.stack import Stack
from demo_parts.trouble import DemoFailed
from rich.console import Console
from rich.markup import escape

QUESTIONS = Path(__file__).parent / "data" / "questions.jsonl"
TENANTS = ("acme", "globex", "initech")
TASKS_PER_TENANT = 7
PRIORITIES = (5, 5, 9, 5, 1, 5, 7)
WORKERS = 2
AT_ONCE = 6
ENDS_WITHIN_SECONDS = 150


def main() -> int:
    console = Console(width=None if sys.stdout.isatty() else 150, highlight=False)
    keep = os.environ.get("KEEP") == "1"
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(1))  # through `finally`, so that nothing is left running
    stack = Stack()
    succeeded = False
    try:
        succeeded = asyncio.run(tell_the_story(stack, console, keep=keep))
    except DemoFailed as problem:
        console.print(f"[bold red]demo failed:[/] {escape(str(problem))}")
    except KeyboardInterrupt:
        console.print("stopped")
    finally:
        stack.stop()
        if succeeded:
            stack.remove_data()
        else:
            console.print(f"The log is {stack.log}")
    return 0 if succeeded else 1


async def tell_the_story(stack: Stack, console: Console, *, keep: bool) -> bool:
    """True when every task succeeded."""
    began_mono = time.monotonic()
    console.print(
        f"Starting dayshift: 1 gateway, {WORKERS} workers, PostgreSQL, Valkey and a model, data in {stack.data}"
    )
    stack.start()
    await stack.wait_until_ready(WORKERS)
    console.print(f"Ready after {time.monotonic() - began_mono:.1f} s; the API is {stack.url}")
    if "ANSWER_DESK_MODEL" not in os.environ:
        console.print("The answers come from SmolLM2-135M, a small model on this machine: fluent, quick, often wrong.")

    operator = Client(stack.url, stack.operator_key)
    keys = {tenant: await stack.create_key(tenant) for tenant in TENANTS}
    clients = {tenant: Client(stack.url, key) for tenant, key in keys.items()}
    try:
        await operator.change_setting("agents.answer_desk", {"concurrency": AT_ONCE}, "a small model answers")
        await submit_all(clients, console)
        killed = await watch_and_kill(stack, operator, clients, console, began_mono)
        succeeded = await show_results(clients, killed, console)
    finally:
        for client in (operator, *clients.values()):
            await client.close()
    console.print(f"{time.monotonic() - began_mono:.0f} s in all.")
    await say_what_to_try(stack, keys, console, keep=keep)
    return succeeded


async def submit_all(clients: dict[str, Client], console: Console) -> None:
    """All tasks of all tenants at once."""
    questions = [json.loads(line)["question"] for line in QUESTIONS.read_text().splitlines()]
    shares = (questions[at :: len(clients)][:TASKS_PER_TENANT] for at in range(len(clients)))
    began_mono = time.monotonic()
    accepted = await asyncio.gather(
        *(
            client.submit(question, priority=priority, metadata={"source": "demo"})
            for client, share in zip(clients.values(), shares, strict=True)
            for question, priority in zip(share, PRIORITIES, strict=True)
        )
    )
    took_ms = (time.monotonic() - began_mono) * 1000
    console.print(f"{len(accepted)} tasks of {len(clients)} tenants accepted in {took_ms:.0f} ms")


async def watch_and_kill(
    stack: Stack, operator: Client, clients: dict[str, Client], console: Console, began_mono: float
) -> str:
    """Show progress until every task has ended; half-way, kill a worker. Returns its id."""
    killed = ""
    with Progress(console) as progress:
        while True:
            stack.check_alive()
            listed = await asyncio.gather(*(client.tasks() for client in clients.values()))
            workers = [worker for worker in await operator.workers() if worker["id"] != killed]
            by_tenant = dict(zip(clients, listed, strict=True))
            progress.update(by_tenant, workers)
            tasks = [task for of_tenant in listed for task in of_tenant]
            ended = sum(task["status"] in FINAL for task in tasks)
            if ended == len(tasks):
                if not killed:
                    raise DemoFailed("all tasks ended before a worker could be killed; nothing was shown")
                return killed
            if not killed and ended >= len(tasks) * 0.4:
                killed = kill_one(workers, progress)
            if time.monotonic() - began_mono > ENDS_WITHIN_SECONDS:
                unfinished = [f"{task['id']} {task['status']}" for task in tasks if task["status"] not in FINAL]
                raise DemoFailed(
                    f"{len(unfinished)} of {len(tasks)} tasks had not ended after {ENDS_WITHIN_SECONDS} s: "
                    f"{', '.join(unfinished[:3])}{stack.last_words()}"
                )
            await asyncio.sleep(0.25)


def kill_one(workers: list[dict[str, Any]], progress: Progress) -> str:
    """SIGKILL to the busiest worker: it can clean up nothing and tell nobody."""
    if not workers:
        return ""
    victim = max(workers, key=lambda worker: worker["running"])
    try:
        os.kill(victim["pid"], signal.SIGKILL)
    except ProcessLookupError:
        return ""
    progress.say(
        f"[bold yellow]Killed worker {short(victim['id'])} (pid {victim['pid']}) with SIGKILL, "
        f"amid {victim['running']} tasks.[/] Its tasks go on elsewhere."
    )
    killed: str = victim["id"]
    return killed


async def show_results(clients: dict[str, Client], killed: str, console: Console) -> bool:
    listed = await asyncio.gather(*(client.tasks() for client in clients.values()))
    worker_ids: dict[str, str] = {}

    async def look(client: Client, task: Task) -> None:
        worker_ids[task["id"]] = await client.last_worker(task["id"])

    await asyncio.gather(
        *(look(client, task) for client, tasks in zip(clients.values(), listed, strict=True) for task in tasks)
    )

    def worker_of(task_id: str) -> str:
        worker = worker_ids[task_id]
        return f"{short(worker)}{' †' if worker == killed else ''}" if worker else "?"

    tasks = sorted((task for of_tenant in listed for task in of_tenant), key=lambda task: str(task["finished_at"]))
    print_results(console, tasks, worker_of)
    console.print(
        "In the order of finishing; † the worker that was killed. A loss is an attempt whose worker vanished."
    )
    succeeded = [task for task in tasks if task["status"] == "succeeded"]
    lost = sum(task["losses"] for task in tasks)
    console.print(
        f"[bold]{len(succeeded)} of {len(tasks)} tasks succeeded[/]; {lost} attempts were lost with the worker and made again."
    )
    return len(succeeded) == len(tasks)


async def say_what_to_try(stack: Stack, keys: dict[str, str], console: Console, *, keep: bool) -> None:
    """Commands to try next: against this stack if it stays, else on one of the reader's own."""
    dayshift = Path(sys.executable).with_name("dayshift")
    shown = dayshift.relative_to(Path.cwd()) if dayshift.is_relative_to(Path.cwd()) else dayshift
    ask = f"{shown} submit answer_desk '\"What are some business etiquette norms in Japan?\"' --wait"
    if not keep:
        console.print(
            f"\nThe API was {stack.url}; KEEP=1 make demo leaves it running. Or start one of your own, and ask:"
        )
        say_commands(console, f"{shown} run examples/answer_desk.py", ask, f"{shown} tasks ls")
        return
    tenant = TENANTS[0]
    console.print(f"\nIt runs on: the API is [bold]{stack.url}[/]. Try in another terminal, as tenant {tenant}:")
    say_commands(
        console,
        f"export DAYSHIFT_PORT={stack.port} DAYSHIFT_DATA={stack.data} DAYSHIFT_API_KEY={keys[tenant]}",
        ask,
        f"{shown} tasks ls",
        f"{shown} tasks show TASK",
        f"{shown} config set tenants.{tenant}.weight 3",
        f'curl -N -H "Authorization: Bearer $DAYSHIFT_API_KEY" {stack.url}/v1/tasks/TASK/events',
    )
    console.print("Ctrl-C stops it.")
    await wait_for_ctrl_c(stack)


def say_commands(console: Console, *commands: str) -> None:
    for command in commands:
        console.print(f"  {command}", markup=False, soft_wrap=True)


async def wait_for_ctrl_c(stack: Stack) -> None:
    stop = asyncio.Event()
    for number in (signal.SIGINT, signal.SIGTERM):
        asyncio.get_running_loop().add_signal_handler(number, stop.set)
    while not stop.is_set():
        stack.check_alive()
        try:
            await asyncio.wait_for(stop.wait(), 1)
        except TimeoutError:
            continue


if __name__ == "__main__":
    sys.exit(main())
