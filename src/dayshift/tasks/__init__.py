"""tasks/: the services over both planes. The ledger decides, the hot plane is told; nothing here is true by itself.

Read in this order: `intake` (accept), `submitting` and `rates` (within limits), `starting`, `finishing`, `outbox` (telling
the hot plane), `waiting` and `following` (telling the callers), `rescue` (a worker is lost), `epoch` and `rebuild` (the
plane is lost). `services` wires them for a process.
"""

from dayshift.tasks.depth import QueueDepth
from dayshift.tasks.finishing import Outcome
from dayshift.tasks.inputs import TaskRequest, WebhookRequest
from dayshift.tasks.intake import Receipt
from dayshift.tasks.services import Services

__all__ = ["Outcome", "QueueDepth", "Receipt", "Services", "TaskRequest", "WebhookRequest"]
