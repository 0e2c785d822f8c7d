"""dayshift with nobody listening to its events: no metrics and no log lines. `python -m benchmarks.untold COMMAND ...`

Only for asking what telemetry costs. The events are still made and handed to a bus without subscribers.
"""

import sys

from dayshift import cli, telemetry


def _listen_to_nothing(_config: object, _process_kind: str) -> None:
    """In the place of `telemetry.setup`."""


if __name__ == "__main__":
    telemetry.setup = _listen_to_nothing
    sys.exit(cli.main())
