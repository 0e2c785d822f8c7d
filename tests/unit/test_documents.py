"""The documents point at what exists."""

import asyncio
import re
from pathlib import Path
from typing import Any

import pytest

from dayshift import Context
from dayshift.agents import load

ROOT = Path(__file__).resolve().parents[2]
DOCUMENTS = sorted([*ROOT.glob("*.md"), *(ROOT / "docs").rglob("*.md"), *(ROOT / "examples").rglob("*.md")])
LINK = re.compile(r"\]\((?!https?://|#)([^)#\s]+)")


@pytest.mark.parametrize("document", DOCUMENTS, ids=lambda path: str(path.relative_to(ROOT)))
def test_every_relative_link_leads_somewhere(document: Path) -> None:
    targets = LINK.findall(document.read_text())
    missing = [target for target in targets if not (document.parent / target).exists()]
    assert not missing


def test_there_are_documents() -> None:
    assert ROOT / "README.md" in DOCUMENTS
    assert len(DOCUMENTS) > 10


def agent_file(document: Path, folder: Path) -> Path:
    """The first Python block of a document that declares an agent, as the file that a reader makes of it."""
    block = next(
        code for code in re.findall(r"```python\n(.*?)```", document.read_text(), re.DOTALL) if "@agent" in code
    )
    path = folder / "agents_of_document.py"
    path.write_text(block)
    return path


@pytest.mark.parametrize(
    ("document", "arguments", "expected"),
    [
        ("README.md", {"name": "Ada"}, "Good morning, Ada!"),
        ("docs/tutorial/first-agent.md", {"subject": "rain", "lines": 1}, "rain, line 1"),
    ],
)
async def test_the_agent_that_a_document_shows_runs(
    document: str, arguments: dict[str, Any], expected: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def at_once(_seconds: float) -> None:
        return

    monkeypatch.setattr(asyncio, "sleep", at_once)
    [agent] = load(str(agent_file(ROOT / document, tmp_path))).agents.values()
    assert await agent.function(Context.local(), **arguments) == expected
