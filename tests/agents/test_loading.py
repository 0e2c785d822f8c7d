import os
import sys
from pathlib import Path

import pytest

from dayshift.agents import load
from dayshift.domain.errors import WrongUse

AGENTS = """
from dayshift import agent

@agent
async def first(text: str) -> str:
    return text

@agent(name="other-name")
def second(count: int = 1) -> int:
    return count
"""


@pytest.fixture(autouse=True)
def clean_imports(monkeypatch, tmp_path):
    monkeypatch.setattr(sys, "path", list(sys.path))
    yield
    for name, module in list(sys.modules.items()):
        if str(tmp_path) in (getattr(module, "__file__", None) or ""):
            del sys.modules[name]


def write(tmp_path, text, name="my_agents.py"):
    path = tmp_path / name
    path.write_text(text)
    return str(path)


def test_all_agents_of_a_file_with_a_version_made_of_its_content(tmp_path):
    path = write(tmp_path, AGENTS)
    loaded = load(path)
    assert sorted(loaded.agents) == ["first", "other-name"]
    assert len(loaded.version) == 12
    assert loaded.agents["first"].is_async
    assert not loaded.agents["other-name"].is_async
    assert load(path, version="v7").version == "v7"


def test_of_two_saves_within_a_second_the_second_runs(tmp_path, monkeypatch):
    monkeypatch.setattr(sys, "dont_write_bytecode", False)
    path = write(tmp_path, AGENTS)
    saved_at = Path(path).stat()
    load(path)
    del sys.modules["my_agents"]
    write(tmp_path, AGENTS.replace("first", "third"))
    os.utime(path, (saved_at.st_atime, saved_at.st_mtime))
    assert "third" in load(path).agents


@pytest.mark.parametrize("name", ["second", "other-name"])
def test_one_agent_by_its_name_or_its_functions(tmp_path, name):
    assert list(load(write(tmp_path, AGENTS) + ":" + name).agents) == ["other-name"]


def test_a_module_works_like_a_path(tmp_path, monkeypatch):
    write(tmp_path, AGENTS, "some_module_of_agents.py")
    monkeypatch.chdir(tmp_path)
    assert "first" in load("some_module_of_agents").agents
    assert list(load("some_module_of_agents:first").agents) == ["first"]


def test_a_file_may_import_its_neighbours_and_their_agents(tmp_path):
    write(tmp_path, AGENTS, "neighbour_agents.py")
    path = write(tmp_path, "from neighbour_agents import first, second\n", "entry.py")
    assert sorted(load(path).agents) == ["first", "other-name"]


def test_an_alias_is_not_a_second_agent(tmp_path):
    assert sorted(load(write(tmp_path, AGENTS + "\nsame = first\n")).agents) == ["first", "other-name"]


def test_a_file_named_like_a_library_does_not_replace_it(tmp_path):
    import json

    load(write(tmp_path, AGENTS, "json.py"))
    assert sys.modules["json"] is json


def test_a_decorator_above_is_kept(tmp_path):
    text = AGENTS + (
        "\nimport functools\n"
        "def twice(f):\n"
        "    @functools.wraps(f)\n"
        "    async def g(*a, **k):\n"
        "        return 2 * await f(*a, **k)\n"
        "    return g\n"
        "@twice\n@agent\nasync def third(x: int) -> int:\n    return x\n"
    )
    loaded = load(write(tmp_path, text))
    coroutine = loaded.agents["third"].call(None, {"x": 4})
    with pytest.raises(StopIteration) as stopped:
        coroutine.send(None)
    assert stopped.value.value == 8


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("import nothing_like_this\n", ["does not import", "ModuleNotFoundError", "nothing_like_this", "line 1"]),
        ("x = 1\ndef f(:\n", ["does not import", "SyntaxError", "line 2"]),
        ("\n\n1 / 0\n", ["does not import", "ZeroDivisionError", "line 3"]),
        ("raise SystemExit(3)\n", ["does not import", "SystemExit"]),
        ("from dayshift import agent\n@agent(timeout=-1)\ndef f(): ...\n", ["does not import", "timeout", "line 2"]),
        ("x = 1\n", ["no agents", "@agent"]),
        (
            "from dayshift import agent\n@agent(name='a')\ndef f(): ...\n@agent(name='a')\ndef g(): ...\n",
            ["two agents", "'a'", "line 2", "line 4"],
        ),
        ("from dayshift import agent\n@agent\ndef f(x: object, y: type): ...\n", ["agent f", "parameter y"]),
    ],
)
def test_a_file_that_cannot_serve_is_told_in_one_line(tmp_path, text, words):
    with pytest.raises(WrongUse) as caught:
        load(write(tmp_path, text))
    assert all(word in caught.value.message for word in words), caught.value.message
    assert "\n" not in caught.value.message


def test_what_is_not_there_is_told(tmp_path):
    path = write(tmp_path, AGENTS)
    for target, word in [
        (str(tmp_path / "missing.py"), "no such file"),
        (str(tmp_path), "is a folder"),
        ("no_module_of_that_name", "no such file or module"),
        (f"{path}:nobody", "it has first, other-name"),
        (f"{path}:", "FILE:NAME"),
    ]:
        with pytest.raises(WrongUse, match=word):
            load(target)
