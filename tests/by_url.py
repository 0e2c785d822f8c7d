"""Run the tests marked `by_url` against servers that are given by URL, as a fleet would be.

The servers come from the embedded binaries, but the tests see two URLs and nothing else.
"""

import os
import subprocess
import sys
import tempfile
from pathlib import Path

from dayshift.embedded import start_engines


def main() -> int:
    with tempfile.TemporaryDirectory(prefix="dayshift-by-url-") as folder:
        engines = start_engines(Path(folder))
        try:
            environment = {
                **os.environ,
                "DAYSHIFT_TEST_DATABASE_URL": engines.database_url,
                "DAYSHIFT_TEST_VALKEY_URL": engines.valkey_url,
            }
            command = [sys.executable, "-m", "pytest", "-q", "-m", "by_url"]
            return subprocess.run(command, env=environment, check=False).returncode
        finally:
            engines.stop()


if __name__ == "__main__":
    sys.exit(main())
