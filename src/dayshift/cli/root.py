"""The root of all commands: one-line errors with their cure, and exit statuses 0, 1 and 2."""

import sys

from cyclopts import App

from dayshift.cli import processes
from dayshift.domain.errors import DayshiftError, WrongUse

root = App(name="dayshift")
processes.register(root)


def main() -> int:
    try:
        return int(root() or 0)
    except WrongUse as error:
        print(f"dayshift: {error}", file=sys.stderr)
        return 2
    except DayshiftError as error:
        print(f"dayshift: {error}", file=sys.stderr)
        return 1
