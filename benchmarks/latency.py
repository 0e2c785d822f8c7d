"""How long does a task take from submit to result at 50 tasks a second?

An open loop: a request leaves each 20 ms whether or not others are back, with `Prefer: wait`, over a pool of keep-alive
connections. Floor: GET /livez at the same rate over the same connections.
"""

import asyncio
import json
import time

from benchmarks import harness

RATE_PER_SECOND = 50
SECONDS = 20


async def open_loop(served: harness.Served, method: str, path: str, expected: int) -> list[float]:
    idle: list[harness.Connection] = []
    took: list[float] = []

    async def one(number: int, due: float) -> None:
        connection = idle.pop() if idle else await harness.Connection(served.host, served.port, served.key).open()
        body = json.dumps({"agent": "noop", "input": {"n": number}}).encode() if method == "POST" else b""
        encoded = connection.encode(method, path, body, {"Prefer": "wait=10"})
        status, answer = await connection.send(encoded)
        took.append(time.perf_counter() - due)
        if status != expected:
            raise RuntimeError(f"answered {status}: {answer[:300]!r}")
        idle.append(connection)

    began = time.perf_counter()
    sent = []
    for number in range(RATE_PER_SECOND * SECONDS):
        due = began + number / RATE_PER_SECOND
        await asyncio.sleep(max(0.0, due - time.perf_counter()))
        sent.append(asyncio.create_task(one(number, time.perf_counter())))
    await asyncio.gather(*sent)
    return took


def summary(took: list[float]) -> dict[str, float]:
    return {
        "p50_ms": harness.percentile(took, 0.50) * 1000,
        "p99_ms": harness.percentile(took, 0.99) * 1000,
        "max_ms": max(took) * 1000,
    }


def main() -> None:
    with harness.serve(gateways=1, workers=1) as served:
        asyncio.run(open_loop(served, "POST", "/v1/tasks", 200))  # warm
        answer = harness.repeated(lambda: summary(asyncio.run(open_loop(served, "POST", "/v1/tasks", 200))))
        floor = harness.repeated(lambda: summary(asyncio.run(open_loop(served, "GET", "/livez", 200))))
    harness.report(
        "How long does a task take from submit to result at 50 tasks a second?",
        answer,
        floor,
        {"p50": answer["median"]["p50_ms"] / floor["median"]["p50_ms"]},
        rate_per_second=RATE_PER_SECOND,
        log_level="info",
        telemetry="on",
    )


if __name__ == "__main__":
    main()
