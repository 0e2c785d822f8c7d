"""The HTTP server that the gateway stands on, with nothing behind it: a constant 202 for every request, and for `/hold`
an answer that never comes. `python -m benchmarks.harness.constant DESCRIPTOR` serves on an inherited socket.
"""

import socket
import sys
from typing import Any

import uvicorn

_HEADERS = [(b"content-type", b"application/json"), (b"content-length", b"2")]


async def app(scope: dict[str, Any], receive: Any, send: Any) -> None:
    message = await receive()
    while message.get("more_body"):
        message = await receive()
    if scope["path"] == "/hold":
        await receive()  # until the client leaves
        return
    await send({"type": "http.response.start", "status": 202, "headers": _HEADERS})
    await send({"type": "http.response.body", "body": b"{}"})


def main() -> None:
    listener = socket.socket(fileno=int(sys.argv[1]))
    config = uvicorn.Config(
        app, log_level="error", access_log=False, lifespan="off", loop="uvloop", http="httptools", backlog=4096
    )
    uvicorn.Server(config).run(sockets=[listener])


if __name__ == "__main__":
    main()
