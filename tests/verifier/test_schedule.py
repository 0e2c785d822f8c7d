"""A seed reproduces its schedule: what clients do and what fails are functions of it, and of nothing else."""

from itertools import pairwise
from typing import get_args

from tests.verifier.menu import MENU
from tests.verifier.plan import make_plan
from tests.verifier.programs import KINDS, make_programs
from tests.verifier.recovery import percentile
from tests.verifier.score import AnyMove, moves_of

KINDS_OF_FAULT = [kind for kind, _ in MENU.values()]


def test_a_seed_makes_the_same_programs_and_faults_again() -> None:
    assert make_programs(7, 300, 60) == make_programs(7, 300, 60)
    assert make_plan(7, 600, KINDS_OF_FAULT, 2.5) == make_plan(7, 600, KINDS_OF_FAULT, 2.5)


def test_another_seed_makes_others() -> None:
    assert make_programs(7, 300, 60) != make_programs(8, 300, 60)
    assert make_plan(7, 600, KINDS_OF_FAULT, 2.5) != make_plan(8, 600, KINDS_OF_FAULT, 2.5)


def test_a_program_does_not_depend_on_how_many_there_are() -> None:
    few, many = make_programs(7, 10, 60), make_programs(7, 1000, 60)
    assert [program.acts for program in few] == [program.acts for program in many[:10]]


def test_an_hour_has_every_kind_of_program_and_a_thousand_faults_of_every_kind() -> None:
    programs = make_programs(7, 5000, 3600)
    assert {program.kind for program in programs} == {kind for kind, _, _ in KINDS}
    plan = make_plan(7, 3600, KINDS_OF_FAULT, 2.5)
    assert len(plan) >= 1000
    assert {fault.kind for fault in plan} == set(MENU)


def test_labels_are_given_once() -> None:
    programs = make_programs(7, 2000, 60)
    labels = [one.label for program in programs for errand in program.errands for one in errand.family()]
    assert len(labels) == len(set(labels))


def test_scores_have_every_move_and_name_each_once() -> None:
    scores = [errand.score for program in make_programs(7, 2000, 60) for errand in program.errands if errand.score]
    moves = [list(moves_of(score)) for score in scores]
    assert {type(move) for score in moves for move in score} == set(get_args(AnyMove))
    assert all(len({move.id for move in score}) == len(score) for score in moves)


def test_no_thing_is_hit_before_it_could_stand_up() -> None:
    free_from: dict[str, float] = {}
    for fault in make_plan(7, 3600, KINDS_OF_FAULT, 1.0):
        kind, _ = MENU[fault.kind]
        assert kind.lasts_seconds[0] <= fault.lasts_seconds <= kind.lasts_seconds[1]
        for thing in kind.hits:
            assert fault.at_seconds >= free_from.get(thing, 0.0) - 0.01
            free_from[thing] = fault.at_seconds + fault.lasts_seconds + kind.rest_seconds


def test_faults_overlap() -> None:
    plan = make_plan(7, 3600, KINDS_OF_FAULT, 2.5)
    assert any(later.at_seconds < fault.at_seconds + fault.lasts_seconds for fault, later in pairwise(plan))


def test_percentiles_are_of_what_was_measured() -> None:
    values = [float(value) for value in range(1, 101)]
    assert (percentile(values, 0.5), percentile(values, 0.99), percentile([3.0], 0.99)) == (50.0, 99.0, 3.0)
