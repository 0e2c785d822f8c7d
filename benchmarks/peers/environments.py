"""An environment of its own for each peer, under `.peers/` at the project's root; the project's own stays as it is."""

import hashlib
import shutil
import subprocess
import sys
import venv
from pathlib import Path

HERE = Path(__file__).resolve().parent
ROOT = HERE.parent.parent
ENVIRONMENTS = ROOT / ".peers"


def python_of(name: str) -> Path:
    """The interpreter of a peer's environment, made first if there is none for these requirements."""
    requirements = HERE / name / "requirements.txt"
    if not requirements.exists():  # dayshift itself: the project's own
        return Path(sys.executable)
    return _prepared(name, requirements)


def _prepared(name: str, requirements: Path) -> Path:
    folder = ENVIRONMENTS / name
    python = folder / "bin" / "python"
    ready = folder / "ready"
    digest = hashlib.sha256(requirements.read_bytes() + sys.version.encode()).hexdigest()
    if ready.exists() and ready.read_text() == digest:
        return python
    print(f"making {folder.relative_to(ROOT)}", file=sys.stderr)
    shutil.rmtree(folder, ignore_errors=True)
    venv.create(folder, with_pip=True)
    pip = [str(python), "-m", "pip", "install", "--quiet", "--disable-pip-version-check"]
    subprocess.run([*pip, "-r", str(requirements)], check=True)
    npm = requirements.with_name("package.json")
    if npm.exists():
        shutil.copy(npm, folder)
        subprocess.run(["npm", "install", "--silent", "--no-audit", "--ignore-scripts"], cwd=folder, check=True)
    ready.write_text(digest)
    return python
