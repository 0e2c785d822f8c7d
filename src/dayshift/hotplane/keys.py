"""The whole key space of the hot plane, in one table. No other file spells a key; the Lua scripts get this table too.

Everything lies under one hash tag, so that a cluster could hold it on one node:

    ds:{0}:epoch                    the marker: the epoch that is ready; absent while the plane is being rebuilt
    ds:{0}:lease:WORKER             a worker's lease, with its time to live
    ds:{0}:stream:TASK              a task's live events
    ds:{0}:finished                 finished stream -> number of its final event; the oldest go when there are too many
    ds:{0}:told:WRITER              number of the last event that a writer of streams has told; as long as a stream lives
    ds:{0}:parked:PROVIDER          tasks parked until that provider is back -> wall ms when they look again; a day
    ds:{0}:breaker:PROVIDER:MODEL   state, era, counts of calls (see breakers.py); two windows, an hour where it is not closed
    ds:{0}:retries:PROVIDER         calls and retries of the last minute, in slices; two minutes
    ds:{0}:rate:SECONDS:TENANT[:USER]   hash: slice of a window -> what was submitted in it; sum, from, to (see rates.py); a little longer than the window
    ds:{0}:limit:...                what a provider lets us use, the table at the end: it must outlive an epoch, as the provider's books do
    ds:{0}:budget:KIND:TENANT:NAME:PERIOD:START        spent and held (see budgets.py); an hour beyond its period; `ever`: a week unused
    ds:{0}:budget:...:holds         holds, and marks of what was settled -> wall ms when they expire; as long as the counter
    ds:{0}:answers:of:NAME          an answer that is kept; beside them :order (when each was kept), :bytes (of each), :sum
    ds:{0}:all, :maintenance, :breakers, :worker:WORKER, :task:TASK        push channels (see channels.py)
    ds:{0}:E<epoch>:...             state, the table below; one epoch's keys are never read by another

AGENT is what workers claim by: an agent's name, or AGENT@VERSION (domain/pins.py); only `a:AGENT` counts by the agent alone.
RING is `AGENT:PRIORITY`, LANE is `AGENT:PRIORITY:TENANT`; `:` inside of a name is escaped. None of the state keys has a
time to live: they end with what they describe, and `drop_old_epochs` removes those of epochs gone by.

    name      key           type    what, and until when
    task      task:TASK     hash    state, agent, priority, tenant, seq, due, worker, charged, weight; from enqueue to ack
    lane      lane:LANE     zset    ready task -> seq; the line. Empty: gone
    ready     ready         hash    agent -> ready tasks, for the bound of what is kept hot
    ring      ring:RING     zset    tenant with a non-empty lane, not at its cap -> virtual time
    rings     rings:AGENT   zset    priority with a non-empty ring -> turn of its last service (or of its entry)
    ringstate ringstate     hash    RING:v -> the ring's virtual time; running means RING:m of slot seconds, RING:u of 1/weight
    credit    credit:RING   hash    tenant that left the ring -> its virtual time, until it is back; bounded (see _order.lua)
    aside     aside:TENANT  set     rings that a tenant at its cap was taken out of
    asides    asides        set     tenants with something aside
    delayed   delayed:AGENT zset    delayed task -> the wall time in ms when it is due
    cold      cold          hash    LANE -> first seq that is in the ledger only
    refused   refused       hash    LANE -> lowest seq refused since the last refill was given out
    thirst    thirst:AGENT  zset    lane (PRIORITY:TENANT) that wants a refill -> wall ms from when it may be given out
    refill    refill        hash    LANE -> token of the refill that was given out last
    running   running       hash    t:TENANT, a:AGENT -> tasks held by workers
    held      held:WORKER   set     tasks that a worker holds
    worker    worker:WORKER hash    count, digest of held; request, reply of the last claim; idle, agents; until released
    suspect   suspect:WORKER set    +TASK, -TASK: differences that one comparison found and the next may act on
    idle      idle:AGENT    zset    worker that found nothing -> turn when it went idle; entries may be stale
    policy    policy        hash    version, w:TENANT, c:TENANT (`*`: all others)
    turns     turns         hash    turn: the plane's clock of service; s:AGENTS: slots given to workers of these agents

Below `limit:`, LINE is `PROVIDER` or `PROVIDER/MODEL` (where a model has limits of its own); each key has the lifetime that
it was last written with. CREDENTIAL is an id, never a secret.

    account:LINE:CREDENTIAL string  balances, concurrent calls and what is known of others; packed; a week, see _limit_accounts.lua
    heads:LINE              hash    HEAD (WORKER/NUMBER) -> the call at the head of a worker's own line; packed; an hour
    held:LINE               hash    RESERVATION -> state, credential, amounts; packed; eight days
    due:LINE                zset    RESERVATION -> plane ms when it is taken back, or forgotten; eight days
    turns:LINE              hash    v: the line's virtual time; t:TENANT -> the tenant's; an hour
    workers                 zset    WORKER -> plane ms when its limiter was last heard
    at:WORKER               channel `LINE MS`: the head of your line may ask in so many ms
"""

from typing import Final

PREFIX: Final = "ds:{0}:"
MARKER: Final = PREFIX + "epoch"
LEASE: Final = PREFIX + "lease:"
STREAM: Final = PREFIX + "stream:"
FINISHED: Final = PREFIX + "finished"
TOLD: Final = PREFIX + "told:"
PARKED: Final = PREFIX + "parked:"
BREAKER: Final = PREFIX + "breaker:"
RETRIES: Final = PREFIX + "retries:"
BUDGET: Final = PREFIX + "budget:"
RATE: Final = PREFIX + "rate:"
ANSWERS: Final = PREFIX + "answers:"
STATE: Final = PREFIX + "E"
TASK_CHANNEL: Final = PREFIX + "task:"
WORKER_CHANNEL: Final = PREFIX + "worker:"
BREAKERS_CHANNEL: Final = PREFIX + "breakers"
LIMIT: Final = PREFIX + "limit:"
LIMIT_KEYS: Final = {
    "LIMIT_ACCOUNT": LIMIT + "account:",
    "LIMIT_HEADS": LIMIT + "heads:",
    "LIMIT_HELD": LIMIT + "held:",
    "LIMIT_DUE": LIMIT + "due:",
    "LIMIT_TURNS": LIMIT + "turns:",
    "LIMIT_WORKERS": LIMIT + "workers",
    "LIMIT_CHANNEL": LIMIT + "at:",
}

STATE_KEYS: Final = {
    "task": "task:",
    "lane": "lane:",
    "ready": "ready",
    "ring": "ring:",
    "rings": "rings:",
    "ringstate": "ringstate",
    "credit": "credit:",
    "aside": "aside:",
    "asides": "asides",
    "delayed": "delayed:",
    "cold": "cold",
    "refused": "refused",
    "thirst": "thirst:",
    "refill": "refill",
    "running": "running",
    "held": "held:",
    "worker": "worker:",
    "suspect": "suspect:",
    "idle": "idle:",
    "policy": "policy",
    "turns": "turns",
}


def lease(worker_id: str) -> str:
    return LEASE + worker_id


def stream(task_id: str) -> str:
    return STREAM + task_id


def parked(provider: str) -> str:
    return PARKED + escaped(provider)


def answer(name: str) -> str:
    return f"{ANSWERS}of:{name}"


def state_root(epoch: int) -> str:
    """What every state key of an epoch starts with."""
    return f"{STATE}{epoch}:"


def epoch_of(key: str) -> int | None:
    """The epoch that a state key belongs to; None for any other key."""
    number, colon, _ = key.removeprefix(STATE).partition(":")
    return int(number) if key.startswith(STATE) and colon and number.isdecimal() else None


def escaped(name: str) -> str:
    """A name as it stands inside of a key: without the colon that separates."""
    return name.replace("%", "%25").replace(":", "%3A") if ":" in name or "%" in name else name


def unescaped(text: str) -> str:
    return text.replace("%3A", ":").replace("%25", "%") if "%" in text else text


def lua_table() -> str:
    """The same names for the scripts, as the Lua text that the loader puts in front of each."""
    names = ", ".join(f"{name} = '{text}'" for name, text in STATE_KEYS.items())
    fixed = {
        "STATE": STATE,
        "LEASE": LEASE,
        "STREAM": STREAM,
        "FINISHED": FINISHED,
        "TOLD": TOLD,
        "BUDGET": BUDGET,
        "RATE": RATE,
        "BREAKER": BREAKER,
        "RETRIES": RETRIES,
        "ANSWERS": ANSWERS,
        "TASK_CHANNEL": TASK_CHANNEL,
        "WORKER_CHANNEL": WORKER_CHANNEL,
        "BREAKERS_CHANNEL": BREAKERS_CHANNEL,
        **LIMIT_KEYS,
    }
    lines = [f"local NAME = {{ {names} }}", *(f"local {name} = '{text}'" for name, text in fixed.items())]
    return "\n".join(lines) + "\n"
