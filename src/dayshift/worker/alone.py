"""The hard bound of a quarantine process: it ends even if its code holds the interpreter lock for ever.

`faulthandler` counts in a thread that needs no lock, and ends the process with the stacks of all threads on stderr.
Nobody else can be harmed: one task runs here.
"""

import faulthandler

from dayshift.worker.attempt import FENCE_AFTER_SECONDS

START_SECONDS = 60.0
MARGIN_SECONDS = 10.0


def end_unless_started() -> None:
    """The task must be entered within a minute."""
    faulthandler.dump_traceback_later(START_SECONDS, exit=True)


def end_unless_finished(attempt_seconds: float) -> None:
    """The attempt may take so long, and its end a little longer."""
    faulthandler.dump_traceback_later(attempt_seconds + FENCE_AFTER_SECONDS + MARGIN_SECONDS, exit=True)


def may_live() -> None:
    """The task is done."""
    faulthandler.cancel_dump_traceback_later()
