"""Ports for servers that are taken down and come back: below those that the system lends to outgoing connections.

On a lent port, some client's connection may sit by the time that the server wants to listen there again.
"""

import random

from dayshift.embedded.readiness import free_port

_STEADY = range(20_000, 32_000)


def steady_port() -> int:
    return free_port(random.sample(_STEADY, 100))
