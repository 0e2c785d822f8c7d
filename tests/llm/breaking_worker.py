"""A worker process that calls a provider of one line through breakers: `python -m tests.llm.breaking_worker call | hold VALKEY PORT RULE`.

`call` makes so many calls a second, whatever becomes of them. `hold` asks until it is given the probe, says so, and sits on it.
"""

import asyncio
import contextlib
import sys

import msgspec

from dayshift.domain.provider_settings import BreakerSettings
from dayshift.hotplane import Plane
from dayshift.llm.breakers import Breakers, Permit
from dayshift.tasks.pushes import Pushes

NAME = ("openai", "gpt-5")
CALLS_A_SECOND = 30


async def main(mode: str, valkey_url: str, port: str, rule_text: str) -> None:
    plane = Plane(valkey_url)
    await plane.open()
    breakers = Breakers(plane, Pushes(plane))
    await breakers.open()
    rule = msgspec.json.decode(rule_text, type=BreakerSettings)
    await breakers.permit(*NAME, rule)
    sys.stdout.write("ready\n")
    sys.stdout.flush()
    await (_call_on(breakers, rule, int(port)) if mode == "call" else _hold(breakers, rule))


async def _call_on(breakers: Breakers, rule: BreakerSettings, port: int) -> None:
    calls = set()
    while True:
        call = asyncio.create_task(_call(breakers, rule, port))
        calls.add(call)
        call.add_done_callback(calls.discard)
        await asyncio.sleep(1 / CALLS_A_SECOND)


async def _call(breakers: Breakers, rule: BreakerSettings, port: int) -> None:
    if breakers.look(*NAME, rule) is not None:
        return
    permit = await breakers.permit(*NAME, rule)
    if isinstance(permit, Permit):
        permit.settle(await _fails(port))


async def _fails(port: int) -> bool:
    with contextlib.suppress(OSError):
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        answer = await reader.readline()
        writer.close()
        return answer != b"well\n"
    return True


async def _hold(breakers: Breakers, rule: BreakerSettings) -> None:
    while True:
        permit = await breakers.permit(*NAME, rule)
        if isinstance(permit, Permit) and permit.is_probe:
            break
        await asyncio.sleep(0.02)
    sys.stdout.write("probe\n")
    sys.stdout.flush()
    await asyncio.sleep(3_600)


if __name__ == "__main__":
    asyncio.run(main(*sys.argv[1:]))
