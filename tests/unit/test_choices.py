"""An invalid value of a few is told together with those that there are."""

import dataclasses
import enum
from typing import Annotated, Any, Literal, TypedDict

import msgspec
import pytest
from msgspec import Meta, Struct

from dayshift.domain.choices import with_choices

Order = Literal["asc", "desc"]


class Colour(enum.Enum):
    RED = "red"
    GREEN = "green"
    BLUE = "blue"


class Cat(Struct, tag="cat"):
    colour: Colour


class Dog(Struct, tag="dog"):
    size: Literal[1, 2]


class Named(TypedDict):
    order: Order


@dataclasses.dataclass
class Point:
    orders: tuple[Order, Colour]


class Tree(Struct, rename="camel"):
    own_order: Order = "asc"
    below: "list[Tree]" = []


class Many(Struct):
    number: Literal[tuple(range(30))]  # type: ignore[valid-type]


def told(hint: Any, raw: bytes) -> str:
    with pytest.raises(msgspec.ValidationError) as caught:
        msgspec.json.decode(raw, type=hint)
    return with_choices(str(caught.value), hint)


@pytest.mark.parametrize(
    ("hint", "raw", "said"),
    [
        (Order, b'"up"', """Invalid enum value 'up', expected "asc" or "desc\""""),
        (Order | None, b'"up"', """Invalid enum value 'up', expected "asc" or "desc\""""),
        (Colour, b'"pink"', """Invalid enum value 'pink', expected "red", "green" or "blue\""""),
        (Named, b'{"order": "up"}', """Invalid enum value 'up', expected "asc" or "desc" - at `$.order`"""),
        (Dog, b'{"type": "dog", "size": 3}', "Invalid enum value 3, expected 1 or 2 - at `$.size`"),
        (list[Order], b'["asc", "up"]', """Invalid enum value 'up', expected "asc" or "desc" - at `$[1]`"""),
        (
            Point,
            b'{"orders": ["asc", "pink"]}',
            """Invalid enum value 'pink', expected "red", "green" or "blue" - at `$.orders[1]`""",
        ),
        (
            dict[str, list[Order]],
            b'{"a.b": ["up"]}',
            """Invalid enum value 'up', expected "asc" or "desc" - at `$[...][0]`""",
        ),
        (dict[Order, int], b'{"up": 1}', """Invalid enum value 'up', expected "asc" or "desc" - at `key` in `$`"""),
        (
            Tree,
            b'{"below": [{"below": [{"ownOrder": "up"}]}]}',
            """Invalid enum value 'up', expected "asc" or "desc" - at `$.below[0].below[0].ownOrder`""",
        ),
        (
            list[Annotated[Order, Meta(description="which way")] | int],
            b'["up"]',
            """Invalid enum value 'up', expected "asc" or "desc" - at `$[0]`""",
        ),
        (Cat | Dog, b'{"type": "cow"}', """Invalid value 'cow', expected "cat" or "dog" - at `$.type`"""),
    ],
)
def test_the_choices_are_listed(hint, raw, said):
    assert told(hint, raw) == said


def test_of_very_many_a_few_are_listed():
    said = told(Many, b'{"number": 30}')
    assert said.startswith("Invalid enum value 30, expected one of 0, 1, 2, ")
    assert said.endswith("18, 19, … (30 in all) - at `$.number`")


@pytest.mark.parametrize(
    ("hint", "raw"), [(int, b'"x"'), (Named, b"{}"), (Named, b'{"order": 5}'), (Annotated[int, Meta(ge=1)], b"0")]
)
def test_another_fault_stays_as_it_is(hint, raw):
    with pytest.raises(msgspec.ValidationError) as caught:
        msgspec.json.decode(raw, type=hint)
    assert told(hint, raw) == str(caught.value)
    assert "expected" not in told(hint, raw)


def test_a_type_that_msgspec_does_not_know_changes_nothing():
    message = "Invalid enum value 'x' - at `$.a`"
    assert with_choices(message, complex) == message
    assert with_choices(message, Named) == message  # there is no such place
