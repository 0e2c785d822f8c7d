"""The menu of faults. Each is a generator: what stands before its `yield` makes the fault, what stands after heals it.

processes.py   workers, gateways, maintenance, supervisor: killed, frozen past the lease, paused, rolled, with a wrong clock
engines.py     Valkey and PostgreSQL: killed, restarted, frozen, emptied, set back, out of disk
ways.py        between a lone process and an engine, and before the lone gateway: cut, slow, replies lost
"""

from tests.verifier.menu import engines, processes, ways
from tests.verifier.menu.card import MENU, strike

__all__ = ["MENU", "engines", "processes", "strike", "ways"]
