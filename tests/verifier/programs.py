"""Random programs: what the clients of a run do. A pure function of the seed, one program at a time.

A program is a few errands and a line of acts on them that are played in order (see errand.py).
"""

import random

from tests.verifier.durable_programs import DURABLE_KINDS, Made, watch
from tests.verifier.errand import (
    DOORS,
    MAX_ATTEMPTS,
    TENANTS,
    Act,
    Await,
    Cancel,
    Errand,
    Misuse,
    Program,
    Replay,
    Submit,
    SubmitAtOnce,
    SubmitBatch,
)

PROBE_SECONDS = 0.25


def make_programs(seed: int, count: int, seconds: float) -> list[Program]:
    """The programs of a run, spread over its time."""
    return [make_program(seed, number, (number + 0.5) * seconds / count) for number in range(count)]


def make_program(seed: int, number: int, at_seconds: float) -> Program:
    """One program. It depends on the seed and its number alone, whatever the length of the run."""
    dice = random.Random(f"program {seed} {number}")
    kind = dice.choices([kind for kind, _, _ in KINDS], [weight for _, weight, _ in KINDS])[0]
    make = next(make for name, _, make in KINDS if name == kind)
    errands, acts = make(dice, f"{seed}-{number}")
    return Program(
        number=number,
        at_seconds=at_seconds,
        door=dice.randrange(DOORS),
        kind=kind,
        errands=tuple(errands),
        acts=tuple(acts),
    )


def make_probes(seed: int, seconds: float) -> list[Program]:
    """The smallest programs, at a steady pace and at both doors in turn: they show how soon work flows again."""
    probes = []
    for number in range(int(seconds / PROBE_SECONDS)):
        errand = Errand(label=f"{seed}-probe-{number}", steps=0, priority=9)
        probe = Program(
            number=-1 - number,
            at_seconds=number * PROBE_SECONDS,
            door=number % DOORS,
            kind="probe",
            errands=(errand,),
            acts=(Submit((errand.label,)),),
        )
        probes.append(probe)
    return probes


def _errand(dice: random.Random, label: str, **fields: object) -> Errand:
    """An errand with random work: mostly short, now and then long enough to outlive a lost lease."""
    agent = dice.choices(["steps", "capped", "plain_steps"], [8, 1, 2])[0]
    is_long = agent != "capped" and dice.random() < 0.25
    chosen: dict[str, object] = {
        "agent": agent,
        "tenant": dice.choices(TENANTS, [5, 3, 2])[0],
        "steps": dice.randint(8, 16) if is_long else dice.randint(0, 4),
        "step_ms": dice.randint(400, 1200) if is_long else dice.randint(0, 250),
        "priority": dice.choice([0, 3, 5, 5, 5, 9]),
        **fields,
    }
    return Errand(label=label, **chosen)  # type: ignore[arg-type] # chosen by name


def _single(dice: random.Random, name: str) -> Made:
    errand = _errand(dice, f"{name}-0")
    return [errand], [Submit((errand.label,), waits_seconds=dice.choice([0, 0, 1, 8])), watch(dice, errand.label)]


def _repeated(dice: random.Random, name: str) -> Made:
    errand = _errand(dice, f"{name}-0")
    misuse: list[Act] = [Misuse(errand.label)] if dice.random() < 0.5 else []
    return [errand], [Submit((errand.label,), repeats=dice.randint(1, 4)), *misuse, Await(errand.label)]


def _batch(dice: random.Random, name: str) -> Made:
    tenant = dice.choice(TENANTS)
    errands = [_errand(dice, f"{name}-{index}", tenant=tenant) for index in range(dice.randint(2, 12))]
    labels = tuple(errand.label for errand in errands)
    return errands, [SubmitBatch(labels), *(Await(label) for label in labels)]


def _conversation(dice: random.Random, name: str) -> Made:
    shared: dict[str, object] = {"tenant": dice.choice(TENANTS), "conversation": f"talk-{name}"}
    errands = [
        _errand(dice, f"{name}-{index}", **shared, fails=dice.choice([0, 0, 0, 1]), steps=dice.randint(1, 3))
        for index in range(dice.randint(2, 6))
    ]
    labels = tuple(errand.label for errand in errands)
    submit = dice.choice([Submit(labels), SubmitAtOnce(labels), SubmitBatch(labels)])
    cancel: list[Act] = [Cancel(dice.choice(labels), dice.uniform(0, 1))] if dice.random() < 0.25 else []
    return errands, [submit, *cancel, *(Await(label) for label in labels)]


def _delayed(dice: random.Random, name: str) -> Made:
    errand = _errand(dice, f"{name}-0", delay_seconds=round(dice.uniform(0.2, 8), 2))
    return [errand], [Submit((errand.label,)), watch(dice, errand.label)]


def _failing(dice: random.Random, name: str) -> Made:
    errand = _errand(dice, f"{name}-0", fails=dice.randint(1, MAX_ATTEMPTS - 1))
    return [errand], [Submit((errand.label,)), watch(dice, errand.label)]


def _dead_letter(dice: random.Random, name: str) -> Made:
    errand = _errand(dice, f"{name}-0", broken=True, steps=dice.randint(0, 2))
    replay: list[Act] = [Replay(errand.label)] if dice.random() < 0.7 else []
    return [errand], [Submit((errand.label,)), *replay, Await(errand.label)]


def _cancelled_queued(dice: random.Random, name: str) -> Made:
    errand = _errand(dice, f"{name}-0", delay_seconds=3600.0)
    return [errand], [Submit((errand.label,)), Cancel(errand.label, dice.uniform(0, 2)), Await(errand.label)]


def _cancelled_running(dice: random.Random, name: str) -> Made:
    agent = dice.choice(["steps", "steps", "plain_steps"])
    errand = _errand(dice, f"{name}-0", agent=agent, steps=dice.randint(2, 12), step_ms=dice.randint(50, 500))
    cancel = Cancel(errand.label, dice.uniform(0, 3))
    return [errand], [Submit((errand.label,)), cancel, watch(dice, errand.label)]


KINDS = (
    ("single", 30, _single),
    ("repeated", 8, _repeated),
    ("batch", 8, _batch),
    ("conversation", 14, _conversation),
    ("delayed", 8, _delayed),
    ("failing", 10, _failing),
    ("dead_letter", 6, _dead_letter),
    ("cancelled_queued", 4, _cancelled_queued),
    ("cancelled_running", 8, _cancelled_running),
    *DURABLE_KINDS,
)
