"""The LLM provider that can be commanded, as a process beside the run."""

import contextlib
import os
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass


@dataclass(frozen=True)
class FakeProvider:
    """A running provider and what points the OpenAI SDK at it."""

    pid: int
    url: str

    @property
    def variables(self) -> dict[str, str]:
        return {"OPENAI_BASE_URL": f"{self.url}/v1", "OPENAI_API_KEY": "fake"}

    @property
    def environment(self) -> dict[str, str]:
        """For a process of its own: everything here, and the provider."""
        return {**os.environ, **self.variables}


@contextlib.contextmanager
def provider(*, latency_seconds: float) -> Iterator[FakeProvider]:
    """Every call is answered after that time."""
    command = [sys.executable, "-m", "dayshift.fakellm", "--port", "0", "--latency", str(latency_seconds)]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
    try:
        assert process.stdout is not None
        yield FakeProvider(process.pid, process.stdout.readline().strip())
    finally:
        process.terminate()
        process.wait()
