"""What conversations hold when a run is over: what its tasks said, in their order, each once."""

from collections.abc import Iterator, Mapping

from tests.verifier.case import Case, Violation
from tests.verifier.record import Record
from tests.verifier.score import Say, moves_of, place


def violations_of_histories(record: Record, cases: Mapping[str, Case]) -> Iterator[Violation]:
    """Of the conversations of durable errands."""
    for program in record.programs:
        if program.kind == "talk":
            talk = program.errands[0].conversation or ""
            line = sorted((cases[errand.label] for errand in program.errands), key=lambda case: case.first_start)
            yield from _judge(talk, line, record.histories.get(talk, []))


def _judge(talk: str, line: list[Case], history: list[str]) -> Iterator[Violation]:
    """A task that was cancelled may have come as far as it likes; all others have said all."""
    expected = []
    for case in line:
        says = [
            place(case.errand.label, move.id) for move in moves_of(case.errand.score or ()) if isinstance(move, Say)
        ]
        said = [message for message in history if message in says]
        if case.rows and case.row["status"] == "cancelled":
            says = says[: len(said)]
        expected += says
    if history != expected:
        text = f"{talk} holds {history}, and its tasks have said {expected}"
        yield Violation(kind="history", label=line[0].errand.label, text=text)
