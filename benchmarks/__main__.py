"""Run every question, or those named: `python -m benchmarks accept drain`."""

import sys

from benchmarks import accept, drain, latency, recovery, thousand_agents

QUESTIONS = {
    "accept": accept,
    "drain": drain,
    "latency": latency,
    "recovery": recovery,
    "thousand_agents": thousand_agents,
}

for name in sys.argv[1:] or QUESTIONS:
    QUESTIONS[name].main()
