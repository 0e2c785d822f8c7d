"""PostgreSQL, the only truth: what a row says is so, and everything else may be rebuilt from it.

Topics hang on `Ledger` (`tasks`, `effects`, `waits`, `conversations`, `workers`, `registry`, `keys`, `webhooks`, `a2a`, `schedules`, `settings`, `plane_state`); `GroupCommit` gathers the small
writes of many callers. SQL lives in `queries/` and `migrations/`. To read: shapes, starting, finishing, accepting, then
group_commit, database and migrate.
"""

from dayshift.ledger.a2a import InContexts, Kept
from dayshift.ledger.effects import EffectAnswer, EffectWrite
from dayshift.ledger.errors import BadRow, LedgerBusy, LedgerMisfit
from dayshift.ledger.group_commit import GroupCommit
from dayshift.ledger.ledger import Ledger
from dayshift.ledger.queueing import LaneName
from dayshift.ledger.schedules import Refusal, Step
from dayshift.ledger.shapes import (
    Accepted,
    ActiveKey,
    AgentRow,
    BeatAnswer,
    CancelResult,
    ConversationRow,
    Depth,
    Depths,
    Finish,
    Finished,
    IdleSweep,
    KeyRow,
    MessageRow,
    NewKey,
    Outcome,
    PlaneStateRow,
    Poll,
    RefusalReason,
    SchemaState,
    SettingsEntry,
    SettingsState,
    StartRefusal,
    StartWish,
    StrandedTasks,
    WorkerRow,
    new_finish_id,
    new_start_id,
)
from dayshift.ledger.waits import Look, Seen, Sent, Spawn, Spawned, Waits, Woken

__all__ = [
    "Accepted",
    "ActiveKey",
    "AgentRow",
    "BadRow",
    "BeatAnswer",
    "CancelResult",
    "ConversationRow",
    "Depth",
    "Depths",
    "EffectAnswer",
    "EffectWrite",
    "Finish",
    "Finished",
    "GroupCommit",
    "IdleSweep",
    "InContexts",
    "Kept",
    "KeyRow",
    "LaneName",
    "Ledger",
    "LedgerBusy",
    "LedgerMisfit",
    "Look",
    "MessageRow",
    "NewKey",
    "Outcome",
    "PlaneStateRow",
    "Poll",
    "Refusal",
    "RefusalReason",
    "SchemaState",
    "Seen",
    "Sent",
    "SettingsEntry",
    "SettingsState",
    "Spawn",
    "Spawned",
    "StartRefusal",
    "StartWish",
    "Step",
    "StrandedTasks",
    "Waits",
    "Woken",
    "WorkerRow",
    "new_finish_id",
    "new_start_id",
]
