"""Random programs whose errands are durable: scores, and what clients do to tasks that wait."""

import random

from tests.verifier.errand import (
    MAX_ATTEMPTS,
    TENANTS,
    Act,
    Answer,
    Await,
    Cancel,
    Errand,
    Follow,
    Replay,
    Signal,
    Submit,
    SubmitAtOnce,
    SubmitBatch,
)
from tests.verifier.score import (
    AnyMove,
    Ask,
    Call,
    Draw,
    Gather,
    Hear,
    Lapse,
    Once,
    Say,
    Score,
    Sleep,
    Step,
    Tool,
    moves_of,
    payload_of,
)

Made = tuple[list[Errand], list[Act]]
ASYNC, PLAIN = "durable", "plain_durable"
DEEPEST = 2  # gathers and calls within each other
SIMPLE = (("step", 30), ("tool", 10), ("once", 12), ("ask", 25), ("draw", 5), ("sleep", 12), ("lapse", 4))


class _Composer:
    """Composes the score of one errand. `waits`: so many of its moves wait for signals, each of a name of its own."""

    def __init__(self, dice: random.Random, *, agent: str, waits: int = 0) -> None:
        self._dice = dice
        self._agent = agent
        self._waits = waits
        self._made = 0

    def score(self, longest: int, depth: int = 0) -> Score:
        moves = [self._move(depth) for _ in range(self._dice.randint(1, longest))]
        while depth == 0 and self._waits:
            moves.insert(self._dice.randint(0, len(moves)), self._hear())
        return tuple(moves)

    def say(self) -> Say:
        return Say(id=self._id())

    def hear(self, name: str) -> Hear:
        return Hear(id=self._id(), name=name)

    def _id(self) -> str:
        self._made += 1
        return f"m{self._made}"

    def _move(self, depth: int) -> AnyMove:
        if depth < DEEPEST:
            chance = self._dice.random()
            if chance < 0.15 and self._agent == ASYNC:
                return self._gather(depth)
            if chance < 0.22:
                return self._call(depth)
        return self._simple()

    def _simple(self) -> AnyMove:
        dice, move_id = self._dice, self._id()
        kind = dice.choices([kind for kind, _ in SIMPLE], [weight for _, weight in SIMPLE])[0]
        ms = dice.randint(0, 300) if dice.random() < 0.8 else dice.randint(500, 2500)
        match kind:
            case "step":
                return Step(id=move_id, ms=ms)
            case "tool":
                return Tool(id=move_id, ms=ms)
            case "once":
                return Once(id=move_id, ms=ms)
            case "ask":
                return Ask(id=move_id, is_streamed=dice.random() < 0.5)
            case "draw":
                return Draw(id=move_id)
            case "sleep":
                return Sleep(id=move_id, ms=dice.choice([50, 400, 1000, 1500, 3000]))
            case _:
                return Lapse(id=move_id, ms=dice.choice([300, 1200]))

    def _gather(self, depth: int) -> Gather:
        move_id = self._id()
        branches = [self.score(3, depth + 1) for _ in range(self._dice.randint(2, 4))]
        if self._waits and self._dice.random() < 0.5:
            branches.append((self._hear(), self._simple()))
        return Gather(id=move_id, branches=tuple(branches))

    def _call(self, depth: int) -> Call:
        dice, agent = self._dice, self._dice.choice([ASYNC, ASYNC, PLAIN])
        broken = dice.random() < 0.15
        return Call(
            id=self._id(),
            agent=agent,
            score=_Composer(dice, agent=agent).score(3, depth + 1),
            fails=0 if broken else dice.choice([0, 0, 0, 1]),
            broken=broken,
        )

    def _hear(self) -> Hear:
        self._waits -= 1
        return self.hear(f"signal-{self._waits}")


def _errand(dice: random.Random, label: str, *, longest: int = 8, waits: int = 0, **fields: object) -> Errand:
    agent = dice.choice([ASYNC, ASYNC, ASYNC, PLAIN])
    score = _Composer(dice, agent=agent, waits=waits).score(longest)
    return _of_score(dice, label, agent, score, **fields)


def _of_score(dice: random.Random, label: str, agent: str, score: Score, **fields: object) -> Errand:
    chosen: dict[str, object] = {
        "tenant": dice.choices(TENANTS, [5, 3, 2])[0],
        "priority": dice.choice([0, 3, 5, 5, 5, 9]),
        "fail_at": dice.randint(0, len(score)),
        "fails": dice.choice([0, 0, 0, 1, MAX_ATTEMPTS - 1]),
        **fields,
    }
    return Errand(label=label, agent=agent, score=score, **chosen)  # type: ignore[arg-type] # chosen by name


def _durable(dice: random.Random, name: str) -> Made:
    errand = _errand(dice, f"{name}-0")
    return [errand], [Submit((errand.label,), repeats=dice.choice([0, 0, 1])), watch(dice, errand.label)]


def _signalled(dice: random.Random, name: str) -> Made:
    """Signals before, while and after the task begins to wait, in any order."""
    errand = _errand(dice, f"{name}-0", longest=4, waits=dice.randint(1, 3))
    signals: list[Act] = [
        Signal(
            errand.label, move.name, payload_of(errand.label, move.id), dice.uniform(0, 2.5), dice.choice([0, 0, 1, 2])
        )
        for move in moves_of(errand.score or ())
        if isinstance(move, Hear)
    ]
    dice.shuffle(signals)
    return [errand], [Submit((errand.label,)), *signals, watch(dice, errand.label)]


def _clicked(dice: random.Random, name: str) -> Made:
    """One name again and again: each wait is answered by its id, several times."""
    agent, label = dice.choice([ASYNC, PLAIN]), f"{name}-0"
    composer = _Composer(dice, agent=agent)
    score: list[AnyMove] = []
    for _ in range(dice.randint(2, 3)):
        score += [*composer.score(1, DEEPEST), composer.hear("click")]
    errand = _of_score(dice, label, agent, tuple(score))
    answers = [
        Answer(label, "click", payload_of(label, move.id), dice.randint(0, 3))
        for move in score
        if isinstance(move, Hear)
    ]
    return [errand], [Submit((label,)), *answers, watch(dice, label)]


def _dead_letter(dice: random.Random, name: str) -> Made:
    """What was done before it died is not done again by the retry."""
    errand = _errand(dice, f"{name}-0", longest=4, broken=True, fails=0)
    replay: list[Act] = [Replay(errand.label)] if dice.random() < 0.8 else []
    return [errand], [Submit((errand.label,)), *replay, Await(errand.label)]


def _cancelled(dice: random.Random, name: str) -> Made:
    """Running or waiting, with its children; it may wait for a signal that never comes."""
    errand = _errand(dice, f"{name}-0", waits=dice.choice([0, 1]))
    return [errand], [Submit((errand.label,)), Cancel(errand.label, dice.uniform(0, 5)), watch(dice, errand.label)]


def _talk(dice: random.Random, name: str) -> Made:
    """Tasks of one conversation, each of which says something and reads all that was said."""
    shared: dict[str, object] = {"tenant": dice.choice(TENANTS), "conversation": f"talk-{name}"}
    errands = []
    for index in range(dice.randint(2, 5)):
        agent = dice.choice([ASYNC, PLAIN])
        composer, score = _Composer(dice, agent=agent), ()
        for _ in range(dice.randint(1, 3)):
            score += (composer.say(), *composer.score(2, DEEPEST))
        errands.append(_of_score(dice, f"{name}-{index}", agent, score, **shared, fails=dice.choice([0, 0, 0, 1])))
    labels = tuple(errand.label for errand in errands)
    submit = dice.choice([Submit(labels), SubmitAtOnce(labels), SubmitBatch(labels)])
    cancel: list[Act] = [Cancel(dice.choice(labels), dice.uniform(0, 3))] if dice.random() < 0.25 else []
    return errands, [submit, *cancel, *(Await(label) for label in labels)]


def watch(dice: random.Random, label: str) -> Act:
    """Follow its stream, or wait for its end."""
    return Follow(label, dice.choice([1, 2, 3, 1000])) if dice.random() < 0.5 else Await(label)


DURABLE_KINDS = (
    ("durable", 40, _durable),
    ("signalled", 14, _signalled),
    ("clicked", 6, _clicked),
    ("durable_dead_letter", 5, _dead_letter),
    ("durable_cancelled", 14, _cancelled),
    ("talk", 12, _talk),
)
