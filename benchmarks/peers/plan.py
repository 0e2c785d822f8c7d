"""Which questions are asked of each peer, at which size."""

from collections.abc import Iterator

from benchmarks.peers.ask import peer_class
from benchmarks.peers.peer import Ask

PEERS = ("dayshift", "pgqueuer", "restate", "taskiq", "dbos", "celery")
LATENCY_CALLS = 1000
AGENTS, CALLS_OF_AGENT = 1000, 3
KILLED_AGENTS, CALLS_OF_KILLED = 100, 5


def asks(name: str, scale: float = 1.0) -> Iterator[tuple[str, Ask]]:
    """Every question for this peer, under the name that the report knows it by."""
    peer = peer_class(name)

    def size(tasks: int) -> int:
        return max(10, round(tasks * scale))

    yield "drain", Ask("drain", tasks=size(peer.noops))
    yield "drain by two", Ask("drain", workers=2, tasks=size(peer.noops))
    yield "latency", Ask("latency", tasks=size(LATENCY_CALLS))
    yield "agents", Ask("agents", tasks=size(AGENTS), calls=CALLS_OF_AGENT)
    for variant in peer.recovery:
        yield f"kill, {variant}", Ask("kill", tasks=size(KILLED_AGENTS), calls=CALLS_OF_KILLED, variant=variant)
