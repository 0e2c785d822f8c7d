"""All posts of one machine: filled in order, replaced one at a time, stopped in the order that loses nothing."""

import asyncio
from collections.abc import Sequence

from dayshift.domain.events import ProcessChanged
from dayshift.supervisor.child import ChildFailed
from dayshift.supervisor.post import Post
from dayshift.telemetry import emit


class Fleet:
    """`stages` are groups of posts: the posts of a group start and stop together, one group after the other."""

    def __init__(self, stages: Sequence[Sequence[Post]]) -> None:
        self._stages = [list(stage) for stage in stages]
        self._rolling = asyncio.Lock()
        self._roller: asyncio.Task[object] | None = None

    @property
    def posts(self) -> list[Post]:
        return [post for stage in self._stages for post in stage]

    async def start(self) -> None:
        """Fill every post. Raises the first `ChildFailed`, with everything stopped again. A roll waits until it is done."""
        async with self._rolling:
            try:
                for stage in self._stages:
                    await _fill(stage)
            except ChildFailed:
                await self.stop()
                raise

    async def roll(self, kinds: frozenset[str] | None = None) -> None:
        """Replace the children one at a time; a successor that fails to start leaves its predecessor in place."""
        async with self._rolling:
            self._roller = asyncio.current_task()
            try:
                for post in self.posts:
                    if kinds is None or post.kind in kinds:
                        await _replace_if_it_starts(post)
            finally:
                self._roller = None

    async def stop(self) -> None:
        """Drain in the reverse order of starting, the posts of a stage together. Ends a roll. Safe to call twice."""
        if self._roller is not None:
            self._roller.cancel()
            await asyncio.wait({self._roller})
        for stage in reversed(self._stages):
            await asyncio.gather(*(post.stop() for post in stage))

    def stop_hard(self) -> None:
        for post in self.posts:
            post.stop_hard()


async def _replace_if_it_starts(post: Post) -> None:
    try:
        await post.replace()
    except ChildFailed as failure:
        detail = f"{failure.message} The process before it goes on."
        emit(ProcessChanged(kind=post.kind, child_pid=0, change="failed", detail=detail))


async def _fill(stage: Sequence[Post]) -> None:
    """Fill the posts at once; the first that fails ends the start of the others."""
    try:
        async with asyncio.TaskGroup() as group:
            for post in stage:
                group.create_task(post.fill())
    except* ChildFailed as failures:
        first = failures.exceptions[0]
        assert isinstance(first, ChildFailed)
        raise first from None
