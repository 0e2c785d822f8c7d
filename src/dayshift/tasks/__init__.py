"""tasks/: the services over both planes. The ledger decides, the hot plane is told; nothing here is true by itself.

Read in this order: `intake` (accept), `starting`, `finishing`, `outbox` (telling the hot plane), `waiting` (telling the
callers), `rescue`, `epoch` and `rebuild` (losing a worker, losing the plane). `services` wires them for a process.
"""
