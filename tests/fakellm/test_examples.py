"""The examples run as they stand, against the commandable provider."""

import importlib.util
import json
from pathlib import Path
from types import ModuleType

import pytest

from dayshift import Context, Fatal

EXAMPLES = Path(__file__).parents[2] / "examples"


def example(name: str) -> ModuleType:
    spec = importlib.util.spec_from_file_location(f"example_{name}", EXAMPLES / f"{name}.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.fixture
def _provider(fake, monkeypatch):
    monkeypatch.setenv("OPENAI_BASE_URL", f"{fake.url}/v1")
    monkeypatch.setenv("OPENAI_API_KEY", "none")


async def test_hello():
    assert (await example("hello").hello(Context.local(), "Ada")).startswith("Hello, Ada!")


@pytest.mark.usefixtures("_provider")
async def test_chat(fake):
    fake.script({"answer": "Because of scattering."})
    assert await example("chat").chat(Context.local(), "Why is the sky blue?") == "Because of scattering."


@pytest.mark.usefixtures("_provider")
async def test_the_answer_desk_drafts_and_gives_a_title(fake):
    fake.script({"contains": "Write a title", "answer": '"Trade by Rules"\n'}, {"answer": "Bow, and wait. "})
    answer = await example("answer_desk").answer_desk(Context.local(), "What are some norms?")
    assert answer == {"title": "Trade by Rules", "answer": "Bow, and wait."}
    assert [call["n_answered"] for call in fake.calls()] == [1, 1]


async def test_the_answer_desk_refuses_an_empty_question():
    with pytest.raises(Fatal, match="empty"):
        await example("answer_desk").answer_desk(Context.local(), "  ")


def test_the_questions_are_enough_for_the_demo():
    questions = [json.loads(line) for line in (EXAMPLES / "data" / "questions.jsonl").read_text().splitlines()]
    assert len({question["question"] for question in questions}) >= 21
