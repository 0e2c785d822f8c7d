"""`dayshift serve` as a child process with a data folder of its own, and the CLI against it."""

import asyncio
import json
import os
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import httpx2

from demo_parts.trouble import DemoFailed

HOST = "127.0.0.1"
USUAL_PORT = 8700
READY_WITHIN_SECONDS = 60
STOPPED_WITHIN_SECONDS = 45
# The command `dayshift`, whatever PATH says and wherever this environment lies.
DAYSHIFT = [sys.executable, "-c", "import sys; from dayshift.cli import main; sys.exit(main())"]
AGENT_FILE = Path(__file__).parents[1] / "answer_desk.py"
PROVIDER_VARIABLES = ("OPENAI_API_KEY", "OPENAI_BASE_URL", "ANTHROPIC_API_KEY", "ANTHROPIC_BASE_URL")


class Stack:
    """One gateway, two workers, both engines and the local model, under one supervisor."""

    def __init__(self) -> None:
        given = os.environ.get("DAYSHIFT_DATA")
        self.data = Path(given) if given else Path(tempfile.mkdtemp(prefix="dayshift-demo-"))
        self.data_is_ours = given is None
        self.port = free_port()
        self.url = f"http://{HOST}:{self.port}"
        self.log = self.data / "demo.log"
        self.environment = self._environment()
        self.operator_key = ""
        self._process: subprocess.Popen[bytes] | None = None

    def _environment(self) -> dict[str, str]:
        environment = {
            **os.environ,
            "DAYSHIFT_DATA": str(self.data),
            "DAYSHIFT_HOST": HOST,
            "DAYSHIFT_PORT": str(self.port),
        }
        if "ANSWER_DESK_MODEL" not in os.environ:
            # The demo costs nobody money: with a key in the environment a provider would be asked.
            for name in PROVIDER_VARIABLES:
                environment.pop(name, None)
        return environment

    def start(self) -> None:
        self.data.mkdir(parents=True, exist_ok=True)
        command = [*DAYSHIFT, "serve", str(AGENT_FILE), "--gateways", "1", "--workers", "2"]
        with self.log.open("ab") as log:
            self._process = subprocess.Popen(
                command, env=self.environment, stdout=log, stderr=log, stdin=subprocess.DEVNULL, start_new_session=True
            )

    async def wait_until_ready(self, workers: int) -> None:
        """Ready is: the gateway says so, and so many workers are seen."""
        deadline = time.monotonic() + READY_WITHIN_SECONDS
        state = "no answer yet"
        key: str | None = None
        async with httpx2.AsyncClient(base_url=self.url, timeout=5) as http:
            while time.monotonic() < deadline:
                self.check_alive()
                try:
                    ready = await http.get("/readyz")
                    state = f"/readyz says {ready.status_code} {ready.text[:200]}"
                    if ready.status_code == 200:
                        key = key or await self.create_key("operator", "admin")
                        listed = await http.get("/v1/workers", headers={"Authorization": f"Bearer {key}"})
                        state = f"/v1/workers says {listed.status_code} {listed.text[:200]}"
                        if listed.status_code == 200 and len(listed.json()["data"]) >= workers:
                            self.operator_key = key
                            return
                except httpx2.TransportError as problem:
                    state = f"{self.url}/readyz: {problem!r}"
                await asyncio.sleep(0.2)
        raise DemoFailed(f"serve was not ready within {READY_WITHIN_SECONDS} s; {state}{self.last_words()}")

    async def create_key(self, tenant: str, *scopes: str) -> str:
        """`dayshift keys create`, as a person would."""
        scope_flags = [flag for scope in scopes for flag in ("--scope", scope)]
        command = [*DAYSHIFT, "keys", "create", "--tenant", tenant, *scope_flags, "--json"]
        process = await asyncio.create_subprocess_exec(
            *command, env=self.environment, stdout=subprocess.PIPE, stderr=subprocess.PIPE
        )
        out, err = await process.communicate()
        if process.returncode != 0:
            raise DemoFailed(f"`dayshift keys create --tenant {tenant}` failed: {err.decode().strip()[-500:]}")
        try:
            key: str = json.loads(out)["key"]
        except (ValueError, KeyError, TypeError) as problem:
            raise DemoFailed(f"`dayshift keys create --json` printed no key: {out.decode()[:200]!r}") from problem
        return key

    def check_alive(self) -> None:
        if self._process is None or self._process.poll() is not None:
            status = None if self._process is None else self._process.returncode
            raise DemoFailed(f"`dayshift serve` has ended with status {status}{self.last_words()}")

    def last_words(self) -> str:
        """The end of its log, for an error message."""
        if not self.log.exists():
            return ""
        lines = self.log.read_text(errors="replace").splitlines()[-15:]
        return f"\nthe end of {self.log}:\n" + "\n".join(f"  {line[:300]}" for line in lines)

    def stop(self) -> None:
        """SIGTERM, as an operator would; SIGKILL to what is left after the grace."""
        if self._process is None or self._process.poll() is not None:
            return
        self._process.send_signal(signal.SIGTERM)
        try:
            self._process.wait(STOPPED_WITHIN_SECONDS)
        except subprocess.TimeoutExpired:
            os.killpg(self._process.pid, signal.SIGKILL)
            self._process.wait()

    def remove_data(self) -> None:
        if self.data_is_ours:
            shutil.rmtree(self.data, ignore_errors=True)


def free_port() -> int:
    """The usual port when nobody has it, else a free one."""
    for port in (USUAL_PORT, 0):
        with socket.socket() as probe:
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            try:
                probe.bind((HOST, port))
            except OSError:
                continue
            taken: int = probe.getsockname()[1]
            return taken
    raise DemoFailed(f"no port of {HOST} is free")
