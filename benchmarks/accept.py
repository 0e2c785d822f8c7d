"""How many durable tasks a second does one gateway process accept, one by one and by batch?

Floor: the same HTTP stack (uvicorn, httptools, uvloop) answering a constant 202 to the same load generator.
"""

import asyncio
import json
import subprocess
import sys
import time

from benchmarks import harness

CONNECTIONS = 64
TASKS = 15_000
BATCHED_TASKS = 40_000
FAR_SECONDS = 8_640_000  # so far ahead that nothing of it is queued in the hot plane

CONSTANT_SERVER = """
import socket, sys, uvicorn
async def app(scope, receive, send):
    if scope["type"] != "http":
        return
    while (await receive()).get("more_body"):
        continue
    headers = [(b"content-type", b"application/json"), (b"content-length", b"2")]
    await send({"type": "http.response.start", "status": 202, "headers": headers})
    await send({"type": "http.response.body", "body": b"{}"})
listener = socket.socket(); listener.bind(("127.0.0.1", 0)); listener.listen(1024)
print(listener.getsockname()[1], flush=True)
config = uvicorn.Config(app, log_level="error", access_log=False, lifespan="off", loop="uvloop", http="httptools")
uvicorn.Server(config).run(sockets=[listener])
"""


async def one_by_one(host: str, port: int, key: str, tasks: int) -> float:
    """Requests a second over `CONNECTIONS` keep-alive connections, each waiting for its answer."""
    connections = await asyncio.gather(*(harness.Connection(host, port, key).open() for _ in range(CONNECTIONS)))
    remaining = iter(range(tasks))

    async def submit(connection: harness.Connection) -> None:
        for number in remaining:
            body = json.dumps({"agent": "noop", "input": {"n": number}, "delay": FAR_SECONDS}).encode()
            status, answer = await connection.send(connection.encode("POST", "/v1/tasks", body))
            if status != 202:
                raise RuntimeError(f"answered {status}: {answer[:300]!r}")

    began = time.perf_counter()
    await asyncio.gather(*(submit(connection) for connection in connections))
    elapsed = time.perf_counter() - began
    await asyncio.gather(*(connection.close() for connection in connections))
    return tasks / elapsed


async def by_batch(served: harness.Served, tasks: int) -> float:
    async def submit(share: int) -> None:
        connection = await harness.Connection(served.host, served.port, served.key).open()
        items = [{"agent": "noop", "input": {"n": n}, "delay": FAR_SECONDS} for n in range(1000)]
        encoded = connection.encode("POST", "/v1/tasks/batch", json.dumps({"tasks": items}).encode())
        for _ in range(share // 1000):
            status, answer = await connection.send(encoded)
            if status != 202 or b'"code"' in answer[:2000]:
                raise RuntimeError(f"answered {status}: {answer[:300]!r}")
        await connection.close()

    began = time.perf_counter()
    await asyncio.gather(*(submit(tasks // 4) for _ in range(4)))
    return tasks / (time.perf_counter() - began)


def floor() -> dict[str, float]:
    server = subprocess.Popen([sys.executable, "-c", CONSTANT_SERVER], stdout=subprocess.PIPE)
    try:
        assert server.stdout is not None
        port = int(server.stdout.readline())
        return {"one_by_one_per_second": asyncio.run(one_by_one("127.0.0.1", port, "none", TASKS))}
    finally:
        server.terminate()
        server.wait()


def main() -> None:
    with harness.serve(gateways=1, workers=1) as served:  # the worker makes the agent known, and idles

        def measure() -> dict[str, float]:
            return {
                "one_by_one_per_second": asyncio.run(one_by_one(served.host, served.port, served.key, TASKS)),
                "by_batch_per_second": asyncio.run(by_batch(served, BATCHED_TASKS)),
            }

        answer = harness.repeated(measure)
    bare = harness.repeated(floor)
    ratio = answer["median"]["one_by_one_per_second"] / bare["median"]["one_by_one_per_second"]
    harness.report(
        "How many durable tasks a second does one gateway process accept?",
        answer,
        bare,
        {"one_by_one": ratio},
        connections=CONNECTIONS,
        log_level="info",
        telemetry="on",
    )


if __name__ == "__main__":
    main()
