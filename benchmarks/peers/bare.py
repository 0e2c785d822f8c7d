"""The floor: the same agents under bare asyncio (uvloop), with the same client of the same version; nothing is kept.

python -m benchmarks.peers.bare AGENTS CALLS    prints one JSON object
"""

import asyncio
import json
import resource
import sys
import time

from benchmarks.peers import model_calls


async def _agent(number: int, calls: int) -> None:
    for turn in range(calls):
        await model_calls.call(number, turn)


async def _measure(agents: int, calls: int) -> dict[str, float]:
    before = resource.getrusage(resource.RUSAGE_SELF)
    began = time.perf_counter()
    await asyncio.gather(*(_agent(number, calls) for number in range(agents)))
    seconds = time.perf_counter() - began
    after = resource.getrusage(resource.RUSAGE_SELF)
    cpu = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
    return {"bare_seconds": seconds, "bare_cpu_ms_per_call": cpu * 1000 / (agents * calls)}


def main() -> None:
    """Raise the limit of open files, then run."""
    import uvloop

    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
    model_calls.prepare()
    print(json.dumps(uvloop.run(_measure(int(sys.argv[1]), int(sys.argv[2])))))


if __name__ == "__main__":
    main()
