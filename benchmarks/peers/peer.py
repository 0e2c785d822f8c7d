"""What an adapter promises about its peer. Everything here runs in the peer's own environment."""

import abc
import os
from dataclasses import dataclass, field
from pathlib import Path
from typing import ClassVar

APP_FOLDER = Path(__file__).resolve().parent


@dataclass(frozen=True)
class Place:
    """Where one run happens: its folder, the engines that were started for it, and the provider."""

    folder: Path
    database_url: str
    valkey_url: str
    provider_url: str

    @classmethod
    def from_environment(cls) -> "Place":
        """As `__main__` set it for this process."""
        return cls(
            Path(os.environ["RUN_FOLDER"]),
            os.environ["DATABASE_URL"],
            os.environ["VALKEY_URL"],
            os.environ["PROVIDER_URL"],
        )


@dataclass(frozen=True)
class Ask:
    """One question, asked once. `variant` names the settings of a recovery: `default` or `best`."""

    question: str
    workers: int = 1
    tasks: int = 0
    calls: int = 0
    variant: str = "best"


@dataclass(frozen=True)
class Command:
    """How a worker is started: its arguments, and what its environment has besides."""

    arguments: list[str]
    variables: dict[str, str] = field(default_factory=dict)


class Peer(abc.ABC):
    """One peer in one run. Methods are called in the order in which they stand here."""

    name: ClassVar[str]
    packages: ClassVar[tuple[str, ...]]
    """The distributions whose versions are named in the report."""
    engines: ClassVar[tuple[str, ...]]
    """Which of `postgresql` and `valkey` it needs; a server of its own it starts itself in `open`."""
    remembers: ClassVar[str]
    """What survives, and where, in a few words."""
    noops: ClassVar[int]
    """Tasks of a drain: enough for several seconds."""
    settings: ClassVar[dict[str, str]]
    """Question to the settings that were used for it, in the peer's own words."""
    recovery: ClassVar[dict[str, str]]
    """`default` (and `best`, where documentation offers one) to what is set for it."""
    worker_first: ClassVar[bool] = False
    """True when work can be queued only once a worker has been seen; `submit` then queues so that it waits for `release`."""

    def __init__(self, place: Place, ask: Ask) -> None:
        self.place = place
        self.ask = ask

    @abc.abstractmethod
    async def open(self) -> None:
        """Start what belongs to the peer besides workers and engines, make its schema, connect its client."""

    @property
    def groups(self) -> int:
        """How many programs make the `ask.workers` worker processes."""
        return self.ask.workers

    def supervised_worker(self) -> int | None:
        """The worker process to kill where the peer's own supervisor is to start the next one."""
        return None

    @abc.abstractmethod
    def worker(self, number: int) -> Command:
        """How worker `number` (from 0) is started."""

    async def workers_are_up(self, count: int) -> None:
        """Wait until that many workers can be given work. Only asked of peers with `worker_first`."""
        raise NotImplementedError(f"{self.name} says worker_first, and not how to wait for {count} workers")

    @abc.abstractmethod
    async def submit(self, agent: str, count: int) -> None:
        """Queue `count` tasks of `agent` (`noop` or `agent`), numbered from 0, by the fastest documented way."""

    async def release(self) -> None:
        """Let held work go; nothing to do where work queued is work that waits for a worker."""
        return

    @abc.abstractmethod
    async def call(self, number: int) -> int:
        """Submit one no-op and return its result (or its number, where a peer keeps no results)."""

    @abc.abstractmethod
    async def unfinished(self) -> int:
        """How many of the tasks submitted have not ended well, as the peer itself has recorded it."""

    def engine_pids(self) -> list[int]:
        """Processes besides workers and engines that work for the peer; their CPU is counted with the engines'."""
        return []

    @abc.abstractmethod
    async def close(self) -> None:
        """Disconnect, and stop what `open` started."""
