"""A process that owns engines and can be killed: `python owner.py FOLDER [RUN_AS]` says what it started, then waits."""

import json
import os
import signal
import sys
from pathlib import Path

from dayshift.domain.errors import DayshiftError
from dayshift.embedded import start_engines


def main():
    try:
        engines = start_engines(Path(sys.argv[1]), run_as=sys.argv[2] if len(sys.argv) > 2 else None)
    except DayshiftError as error:
        print(json.dumps({"error": error.message, "code": error.code}), flush=True)
        return
    said = {
        "pid": os.getpid(),
        "database_url": engines.database_url,
        "valkey_url": engines.valkey_url,
        "pids": engines.pids,
    }
    print(json.dumps(said), flush=True)
    while True:
        signal.pause()


if __name__ == "__main__":
    main()
