"""What an agent's file finds in the process of a worker."""

import os
import subprocess
import sys
from pathlib import Path

from dayshift.config import PLACEHOLDER_KEY

TELLS = """
from openai import AsyncOpenAI
raise SystemExit(f"key {AsyncOpenAI().api_key}, hash {hash('order')}")
"""


def started_by_hand(folder: Path, **environment: str) -> str:
    """What a file tells that ends the worker while it is imported."""
    file = folder / "tells.py"
    file.write_text(TELLS)
    inherited = {name: value for name, value in os.environ.items() if name not in ("PYTHONHASHSEED", "OPENAI_API_KEY")}
    command = [sys.executable, "-m", "dayshift", "worker", str(file)]
    done = subprocess.run(command, env=inherited | environment, capture_output=True, text=True, check=False)
    assert done.returncode == 2
    return done.stderr


def test_a_client_can_be_made_at_import_without_a_key(tmp_path):
    assert f"key {PLACEHOLDER_KEY}," in started_by_hand(tmp_path)
    assert f"key {PLACEHOLDER_KEY}," in started_by_hand(tmp_path, OPENAI_API_KEY="")
    assert "key mine," in started_by_hand(tmp_path, OPENAI_API_KEY="mine")


def test_hashes_are_the_same_in_every_worker_unless_somebody_has_chosen(tmp_path):
    told = started_by_hand(tmp_path)
    assert told == started_by_hand(tmp_path)
    assert told == started_by_hand(tmp_path, PYTHONHASHSEED="")
    assert told != started_by_hand(tmp_path, PYTHONHASHSEED="7")
