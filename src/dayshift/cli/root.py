"""The root of all commands: one-line errors with their cure, and exit statuses 0 (done), 1 (failed), 2 (wrong usage)."""

import os
import sys
from collections.abc import Sequence

from cyclopts import App, CycloptsError

from dayshift._version import __version__
from dayshift.cli import dead, explain, keys, machine_commands, processes, schedules, settings, submit, tasks
from dayshift.cli.groups import OPERATION, WORK
from dayshift.domain.errors import DayshiftError, InvalidInput, WrongUse

DONE, FAILED, WRONG_USAGE, INTERRUPTED = 0, 1, 2, 130

root = App(
    name="dayshift",
    help="Takes an AI agent that works on a laptop and runs it in production.",
    help_epilogue="Every command takes --debug: errors with their traceback. Every command that prints data takes --json.",
    version=__version__,
    result_action="return_value",
)
processes.register(root)
root.command(submit.submit, group=WORK)
root.command(tasks.app)
root.command(dead.app)
root.command(schedules.app)
root.command(explain.explain, group=WORK)
root.command(settings.app)
root.command(keys.app)
machine_commands.register(root, OPERATION)


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one command; answers its exit status."""
    given = list(sys.argv[1:] if arguments is None else arguments)
    debug = "--debug" in given and given[0] != "fakellm"
    if debug:
        given.remove("--debug")
    try:
        return _status_of(root(given, exit_on_error=False, print_error=False))
    except KeyboardInterrupt:
        return INTERRUPTED
    except BrokenPipeError:  # the reader of our output left, as `| head` does
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return FAILED
    except Exception as error:
        if debug:
            raise
        if sentence := _sentence(error):  # empty: a process of ours has said it already
            print(f"dayshift: {sentence}", file=sys.stderr)
        return WRONG_USAGE if isinstance(error, WrongUse | CycloptsError) else FAILED


def _status_of(answer: object) -> int:
    return answer if isinstance(answer, int) and not isinstance(answer, bool) else DONE


def _sentence(error: Exception) -> str:
    """What happened and the cure, on one line."""
    if isinstance(error, CycloptsError):
        return f"{_one_line(str(error))} See `{_command_of(error)} --help`."
    if isinstance(error, InvalidInput) and len(error.errors) > 1:
        return _one_line("; ".join(f"{fault.path}: {fault.message}" for fault in error.errors))
    if isinstance(error, DayshiftError):
        return _one_line(error.message)
    return f"unexpected {type(error).__name__}: {_one_line(str(error))} (--debug shows where)"


def _command_of(error: CycloptsError) -> str:
    return " ".join(["dayshift", *(error.command_chain or ())])


def _one_line(text: str) -> str:
    return " ".join(text.split())
