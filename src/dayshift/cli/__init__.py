"""The command line: starts processes, and speaks to them."""

from dayshift.cli.root import main

__all__ = ["main"]
