"""Notices that an author saved a file."""

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path

LOOK_SECONDS = 0.5


async def changes_of(folder: Path) -> AsyncIterator[Path]:
    """Yield a Python file of the folder each time one was changed, added or removed."""
    seen = _times(folder)
    while True:
        await asyncio.sleep(LOOK_SECONDS)
        now = _times(folder)
        changed = [path for path in seen.keys() | now.keys() if seen.get(path) != now.get(path)]
        seen = now
        if changed:
            yield min(changed)


def _times(folder: Path) -> dict[Path, int]:
    return {path: path.stat().st_mtime_ns for path in folder.glob("*.py") if path.exists()}
