"""Webhooks: the agent of the house that tells receivers how tasks ended (CONTRACT section 4).

A delivery is a task like any other, made in the transaction that ended the task it tells of; so it is queued, retried, counted, kept as
a dead letter and replayed by what does that for every task. To read: delivering, then sending, gates.
"""

from dayshift.worker.webhooks.delivering import house_agents
from dayshift.worker.webhooks.sending import Sender

__all__ = ["Sender", "house_agents"]
