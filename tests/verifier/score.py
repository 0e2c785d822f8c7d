"""What a durable errand does: a *score* is a line of moves, some of which hold scores of their own.

Whoever does a move's work in the world (a step, a tool, a provider's answer) hands back a *word* that nobody could guess:
`LABEL/MOVE#ORDER`, with the order that the witness gave to that very act. Every move is told the chain of all values before
it, and its own value goes into the chain. So the result says which of several acts its errand went on with, and each mark at
the witness says what its attempt believed until then. Both must agree with the journal: what a score comes to follows from
the recorded words alone, by `play`.
"""

from collections.abc import Iterable, Iterator, Mapping
from hashlib import sha256

from msgspec import Struct


class Move(Struct, frozen=True, kw_only=True, tag=True):
    """One of a score's. `id` tells it from the others of its errand."""

    id: str


class Step(Move, frozen=True, kw_only=True, tag=True):
    """A function below `ctx.step` that takes so long, and then acts on the world."""

    ms: int


class Tool(Move, frozen=True, kw_only=True, tag=True):
    """The same, as a tool that may be done again."""

    ms: int


class Once(Move, frozen=True, kw_only=True, tag=True):
    """The same, as a tool that must not be done twice; whether it was done, the witness can be asked."""

    ms: int


class Draw(Move, frozen=True, kw_only=True, tag=True):
    """A step that is given a drawn value: if the value were drawn again, so would the step be done."""


class Ask(Move, frozen=True, kw_only=True, tag=True):
    """A call of the provider."""

    is_streamed: bool


class Sleep(Move, frozen=True, kw_only=True, tag=True):
    ms: int


class Hear(Move, frozen=True, kw_only=True, tag=True):
    """Wait for a signal."""

    name: str


class Lapse(Move, frozen=True, kw_only=True, tag=True):
    """Wait for a signal that nobody sends, until the time is over."""

    ms: int


class Say(Move, frozen=True, kw_only=True, tag=True):
    """Append to the conversation, and read all of it."""


class Call(Move, frozen=True, kw_only=True, tag=True):
    """A task of its own. A broken one never succeeds, and its parent must bear it."""

    agent: str
    score: tuple["AnyMove", ...]
    fails: int = 0
    broken: bool = False


class Gather(Move, frozen=True, kw_only=True, tag=True):
    """Several scores at once."""

    branches: tuple[tuple["AnyMove", ...], ...]


AnyMove = Step | Tool | Once | Draw | Ask | Sleep | Hear | Lapse | Say | Call | Gather
Score = tuple[AnyMove, ...]
SPOKEN = (Step, Tool, Once, Draw, Ask)  # their values are words
SLEPT, LAPSED, CHILD_FAILED = "slept", "lapsed", "child failed"


class Known(Struct, frozen=True):
    """What the journal says: the recorded words by place, and the conversation as it was after each `Say`, by place."""

    words: Mapping[str, str]
    histories: Mapping[str, str]


def place(label: str, move_id: str) -> str:
    return f"{label}/{move_id}"


def word(label: str, move_id: str, order: int) -> str:
    return f"{place(label, move_id)}#{order}"


def place_of(spoken: str) -> str:
    return spoken.partition("#")[0]


def payload_of(label: str, move_id: str) -> str:
    """What the signal for a `Hear` says."""
    return f"{place(label, move_id)} may go on"


def child_of(label: str, move_id: str) -> str:
    """The label of the errand that a `Call` makes."""
    return f"{label}.{move_id}"


def root_of(label: str) -> str:
    """The label of the errand that a program asked for, from that of one it called."""
    return label.partition(".")[0]


def link(chain: str, value: str) -> str:
    return sha256(f"{chain}:{value}".encode()).hexdigest()[:16]


def branch(chain: str, number: int) -> str:
    return f"{chain}.{number}"


def joined(values: Iterable[str]) -> str:
    return ",".join(values)


def play(label: str, score: Score, chain: str, known: Known, given: dict[str, str]) -> str | None:
    """The chain at the end of a score, or None where something it needs is not known.

    `given` takes the chain that each move is told, as far as it can be said.
    """
    for move in score:
        given[move.id] = chain
        value = _value(label, move, chain, known, given)
        if value is None:
            return None
        chain = link(chain, value)
    return chain


def _value(label: str, move: AnyMove, chain: str, known: Known, given: dict[str, str]) -> str | None:
    match move:
        case Sleep():
            return SLEPT
        case Lapse():
            return LAPSED
        case Hear(id=move_id):
            return payload_of(label, move_id)
        case Say(id=move_id):
            return known.histories.get(place(label, move_id))
        case Call(id=move_id):
            child = child_of(label, move_id)
            return CHILD_FAILED if move.broken else play(child, move.score, child, known, {})
        case Gather():
            values = [play(label, score, branch(chain, n), known, given) for n, score in enumerate(move.branches)]
            return None if None in values else joined(value for value in values if value is not None)
        case Step() | Tool() | Once() | Draw() | Ask():
            return known.words.get(place(label, move.id))


def moves_of(score: Score) -> Iterator[AnyMove]:
    """All moves of the errand itself, those in branches too; not its children's."""
    for move in score:
        yield move
        if isinstance(move, Gather):
            for inner in move.branches:
                yield from moves_of(inner)
