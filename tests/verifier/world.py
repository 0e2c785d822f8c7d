"""What agents act on, in a process of its own that no fault ever touches: the witness, and a provider that tells it each call.

The provider's answers are words (score.py): no two are equal, so an errand's result says which of them it went on with.

`python -m tests.verifier.world MARKS` prints the witness's port, and on the next line the provider's address.
"""

import asyncio
import json
import sys
from pathlib import Path
from typing import TextIO

from dayshift.fakellm.exchange import Reply, Request
from dayshift.fakellm.pace import parse_pace
from dayshift.fakellm.provider import Defaults, Provider
from dayshift.fakellm.script import Script, ScriptFile
from dayshift.fakellm.wire import Connection
from tests.verifier.performer import MARK_HEADER
from tests.verifier.score import word
from tests.verifier.witness import Witness

LATENCY = "uniform:0.05,0.4"  # seconds


class WitnessedProvider(Provider):
    """Tells the witness what it was asked, by whom, before it answers with a word."""

    def __init__(self, witness: Witness) -> None:
        super().__init__(Defaults(parse_pace(LATENCY)), Script(ScriptFile()))
        self._witness = witness

    def receive(self, request: Request) -> Reply:
        told = request.headers.get(MARK_HEADER.encode())
        if told is not None:
            mark = json.loads(told)
            order = self._witness.note({"kind": "asked", **mark})["order"]
            self.script.answer = word(mark["label"], mark["what"], order)
        return super().receive(request)


async def _main(file: TextIO) -> None:
    loop, witness = asyncio.get_running_loop(), Witness(file)
    provider = WitnessedProvider(witness)
    marks = await asyncio.start_server(witness.serve, "127.0.0.1", 0)
    calls = await loop.create_server(lambda: Connection(provider, loop), "127.0.0.1", 0)
    print(marks.sockets[0].getsockname()[1], flush=True)
    print(f"http://127.0.0.1:{calls.sockets[0].getsockname()[1]}", flush=True)
    await marks.serve_forever()


if __name__ == "__main__":
    with Path(sys.argv[1]).open("a") as marks_file:
        asyncio.run(_main(marks_file))
