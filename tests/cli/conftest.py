"""The command line in this process: its exit status, what it printed, and a gateway that says what a test wants."""

import json
import threading
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any, NamedTuple

import pytest

from dayshift.cli import main
from dayshift.config import VARIABLES


class Outcome(NamedTuple):
    status: int
    out: str
    err: str

    @property
    def json(self) -> Any:
        return json.loads(self.out)


Cli = Callable[..., Outcome]


@pytest.fixture
def cli(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Cli:
    """Run a command in an empty folder, without any DAYSHIFT_ variable but those that the test sets."""
    for variable in VARIABLES:
        monkeypatch.delenv(variable.name, raising=False)
    monkeypatch.setenv("COLUMNS", "200")
    monkeypatch.chdir(tmp_path)

    def cli(*arguments: str) -> Outcome:
        capsys.readouterr()
        status = main(arguments)
        return Outcome(status, *capsys.readouterr())

    return cli


class Stub:
    """Answers each request with the next of `answers` (status, body), the last one again and again; keeps all requests."""

    def __init__(self) -> None:
        self.answers: list[tuple[int, Any]] = []
        self.requests: list[dict[str, Any]] = []
        stub = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def answer(self) -> None:
                length = int(self.headers.get("content-length", 0))
                body = self.rfile.read(length)
                stub.requests.append(
                    {
                        "method": self.command,
                        "path": self.path,
                        "headers": {name.lower(): value for name, value in self.headers.items()},
                        "body": json.loads(body) if body else None,
                    }
                )
                status, answer = stub.answers.pop(0) if len(stub.answers) > 1 else stub.answers[0]
                content = (
                    b"" if answer is None else answer if isinstance(answer, bytes) else json.dumps(answer).encode()
                )
                self.send_response(status)
                self.send_header("content-length", str(len(content)))
                self.end_headers()
                self.wfile.write(content)

            do_GET = do_POST = do_PATCH = do_DELETE = answer

            def log_message(self, *arguments: object) -> None:
                """Stay silent."""

        self.server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.server.daemon_threads = True

    @property
    def port(self) -> int:
        return self.server.server_address[1]


@pytest.fixture
def gateway(cli: Cli, monkeypatch: pytest.MonkeyPatch) -> Iterator[Stub]:
    """A gateway that the command line finds by its environment."""
    stub = Stub()
    thread = threading.Thread(target=stub.server.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    monkeypatch.setenv("DAYSHIFT_PORT", str(stub.port))
    yield stub
    stub.server.shutdown()
    thread.join()
    stub.server.server_close()


def task(**changes: Any) -> dict[str, Any]:
    """A task as a gateway shows it."""
    return {
        "id": "task_01a20493-7a57-7da3-877b-d0d40f8cd12b",
        "agent": "echo",
        "status": "queued",
        "input": {"text": "hi"},
        "output": None,
        "error": None,
        "attempt": 0,
        "failures": 0,
        "losses": 0,
        "created_at": "2026-11-22T18:45:05.781481Z",
        "finished_at": None,
        "timing": {"total": 0.0},
        **changes,
    }
