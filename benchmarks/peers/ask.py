"""One question, asked once, inside the peer's own environment; prints one JSON object.

python -m benchmarks.peers.ask PEER '{"question": ..., "workers": ..., ...}' ENGINE_PID...
"""

import asyncio
import importlib
import importlib.metadata
import json
import resource
import signal
import sys
import traceback
from typing import Any

from benchmarks.peers.peer import Ask, Peer, Place
from benchmarks.peers.questions import QUESTIONS, Run


def peer_class(name: str) -> type[Peer]:
    """The adapter of a peer. Importing it needs none of the peer's packages."""
    module = importlib.import_module(f"benchmarks.peers.{name}.adapter")
    found: type[Peer] = module.ADAPTER
    return found


async def answer(peer: Peer, engine_pids: list[int]) -> dict[str, Any]:
    """Open, ask, close; whatever happens, what was started is stopped."""
    run = Run(peer, engine_pids)
    try:
        await peer.open()
        with run.stopping_workers():
            return await QUESTIONS[peer.ask.question](run)
    finally:
        await peer.close()


def main() -> None:
    """An error is an answer too: its last line is shown in the report."""
    name, question, *pids = sys.argv[1:]
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(1))
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
    peer = peer_class(name)(Place.from_environment(), Ask(**json.loads(question)))
    report: dict[str, Any] = {"versions": {dist: importlib.metadata.version(dist) for dist in peer.packages}}
    try:
        report |= {"figures": asyncio.run(answer(peer, [int(pid) for pid in pids]))}
    except Exception as error:  # noqa: BLE001 - whatever a peer raises is what the report says
        traceback.print_exc()
        report |= {"error": f"{type(error).__name__}: {error}"[:300]}
    print(json.dumps(report))


if __name__ == "__main__":
    main()
