"""The figures and the commands of docs/howto/tls-and-proxies.md are those of the code."""

import re
from pathlib import Path

from dayshift.config import VARIABLES
from dayshift.gateway import bodies, events, protocol, server, shedding

PAGE = (Path(__file__).parents[2] / "docs" / "howto" / "tls-and-proxies.md").read_text()
PROSE = " ".join(PAGE.split())


def test_its_figures_are_those_in_force():
    said = [
        f"must be there {protocol.HEAD_SECONDS:g} s after they began, a body {bodies.LONGEST_BODY_SECONDS:g} s after",
        f"closed after {server.IDLE_SECONDS} s",
        f"path and headers {protocol.MAX_HEAD_BYTES // 1024} KiB (431)",
        f"JSON {bodies.MAX_DEPTH} levels deep",
        f"at {shedding.MOST_AT_WORK} requests at work",
        f"say something each {events.HEARTBEAT_SECONDS:g} s",
    ]
    assert [words for words in said if words not in PROSE] == []


def test_its_variables_are_read():
    named = set(re.findall(r"DAYSHIFT_\w+", PAGE))
    assert named <= {variable.name for variable in VARIABLES}
