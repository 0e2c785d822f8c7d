"""The provider as a real process on 127.0.0.1, and what a test asks of it."""

import contextlib
import json
import subprocess
import sys
import time
from collections.abc import Iterator
from typing import Any

import httpx2


class FakeProvider:
    def __init__(self, process: subprocess.Popen[str], url: str) -> None:
        self.process = process
        self.url = url
        self.http = httpx2.Client(base_url=url, timeout=30)

    @property
    def host_and_port(self) -> tuple[str, int]:
        host, port = self.url.removeprefix("http://").split(":")
        return host, int(port)

    def script(self, *rules: dict[str, Any], **defaults: Any) -> None:
        answer = self.http.post("/_fake/script", json={"rules": list(rules), **defaults})
        assert answer.status_code == 200, answer.text

    def restart(self) -> None:
        self.script()
        self.faults()
        self.limit({})
        self.http.post("/_fake/reset")

    def faults(self, *rules: dict[str, Any]) -> None:
        answer = self.http.post("/_fake/faults", json={"rules": list(rules)})
        assert answer.status_code == 200, answer.text

    def limit(self, limits: dict[str, Any]) -> None:
        answer = self.http.post("/_fake/limits", json=limits)
        assert answer.status_code == 200, answer.text

    def books(self, **span: int) -> dict[str, Any]:
        return self.http.get("/_fake/books", params=span).json()

    def calls(self) -> list[dict[str, Any]]:
        return self.http.get("/_fake/calls").json()["calls"]

    def stats(self) -> dict[str, int]:
        return self.http.get("/_fake/stats").json()

    def wait_for_stats(self, **expected: int) -> dict[str, int]:
        deadline = time.monotonic() + 10
        while True:
            stats = self.stats()
            if expected.items() <= stats.items():
                return stats
            assert time.monotonic() < deadline, f"{stats} never became {expected}"
            time.sleep(0.01)


@contextlib.contextmanager
def fake_provider(*flags: str) -> Iterator[FakeProvider]:
    command = [sys.executable, "-m", "dayshift.fakellm", *flags]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        fake = FakeProvider(process, process.stdout.readline().strip())
        try:
            yield fake
        finally:
            fake.http.close()
            process.terminate()
            assert process.wait(10) == 0


def chat_body(text: str = "What is a lease?", **more: Any) -> dict[str, Any]:
    return {"model": "gpt-4o-mini", "messages": [{"role": "user", "content": text}], **more}


def events_of(sse: str) -> list[tuple[str, dict[str, Any]]]:
    """(event name or "", data) of each frame; `[DONE]` is left out."""
    events = []
    for frame in sse.split("\n\n"):
        fields = dict(line.split(":", 1) for line in frame.splitlines() if ":" in line)
        data = fields.get("data", "").strip()
        if data and data != "[DONE]":
            events.append((fields.get("event", "").strip(), json.loads(data)))
    return events
