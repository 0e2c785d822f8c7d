"""The examples with frameworks: where they are, and what they are without dayshift."""

import re
from pathlib import Path

FOLDER = Path(__file__).parents[2] / "examples" / "frameworks"
PLOT = FOLDER / "plot.toml"
NAMES = ("plain_openai", "plain_anthropic", "lang_graph", "pydantic_agent", "openai_agents")
AGENT = "helpdesk"
QUESTION = "My order A-17 came broken, and B-4 never came at all. Please put that right."
_OURS = re.compile(r"(from dayshift import |from checks import |@agent$|@tool\()")


def path_of(name: str) -> Path:
    return FOLDER / f"{name}.py"


def without_dayshift(example: Path) -> str:
    """The example's text without the lines that dayshift asks for: two decorators, and what they import."""
    lines = example.read_text().splitlines(keepends=True)
    return "".join(line for line in lines if not _OURS.match(line))
