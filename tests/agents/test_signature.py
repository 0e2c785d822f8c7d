import dataclasses
import enum
import functools
from datetime import datetime
from typing import Annotated, Any, Literal, TypedDict

import msgspec
import pydantic
import pytest

from dayshift import Context
from dayshift.agents.shapes import shape_of
from dayshift.agents.signature import Signature
from dayshift.domain.errors import InvalidInput, WrongUse


@dataclasses.dataclass
class Line:
    sku: str
    count: int = 1


class Address(TypedDict):
    city: str


class Money(msgspec.Struct):
    cents: int


class Model(pydantic.BaseModel):
    name: str
    size: int = 3


class Outer(pydantic.BaseModel):
    inner: Model


class Colour(enum.Enum):
    RED = "red"


class Opaque:
    pass


def schema_of(function) -> dict[str, Any]:
    return msgspec.json.decode(Signature("a", function).input_schema)


def test_parameters_by_name_with_defaults_and_nothing_else():
    async def f(ctx: Context, question: str, tries: int = 3, notes: list[str] = ["x"]) -> str: ...  # noqa: B006 - authors write such defaults

    signature = Signature("a", f)
    assert signature.takes_context
    assert msgspec.json.decode(signature.input_schema) == {
        "type": "object",
        "properties": {
            "question": {"type": "string"},
            "tries": {"type": "integer", "default": 3},
            "notes": {"type": "array", "items": {"type": "string"}},
        },
        "required": ["question"],
        "additionalProperties": False,
    }
    assert msgspec.json.decode(signature.output_schema) == {"type": "string"}
    assert signature.decode(b'{"question":"q"}') == {"question": "q", "tries": 3, "notes": ["x"]}


def test_structured_hints_are_decoded_into_their_types():
    def f(line: Line, where: Address, price: Money, *, when: datetime, colour: Colour, mode: Literal["a", "b"]): ...

    arguments = Signature("a", f).decode(
        b'{"line":{"sku":"s"},"where":{"city":"c"},"price":{"cents":5},"when":"2026-01-02T03:04:05Z","colour":"red","mode":"a"}'
    )
    assert arguments["line"] == Line("s", 1)
    assert arguments["where"] == {"city": "c"}
    assert arguments["price"] == Money(5)
    assert arguments["when"].year == 2026
    assert arguments["colour"] is Colour.RED
    assert schema_of(f)["$defs"]["Line"]["required"] == ["sku"]


def test_pydantic_models_work_alone_and_inside_other_hints():
    def f(one: Model, many: list[Outer], maybe: Model | None = None) -> Outer: ...

    signature = Signature("a", f)
    schema = msgspec.json.decode(signature.input_schema)
    assert schema["required"] == ["one", "many"]
    assert schema["$defs"]["Outer"]["properties"]["inner"] == {"$ref": "#/$defs/Model"}
    assert msgspec.json.decode(signature.output_schema)["$defs"]["Model"]["properties"]["name"]["type"] == "string"
    arguments = signature.decode(b'{"one":{"name":"n"},"many":[{"inner":{"name":"m","size":1}}]}')
    assert arguments == {"one": Model(name="n"), "many": [Outer(inner=Model(name="m", size=1))]}
    assert signature.decode(b'{"one":{"name":"n"},"many":[],"maybe":null}')["maybe"] is None


@pytest.mark.parametrize(
    ("data", "path"),
    [
        (b'{"one":{"name":5}}', "input.one.name"),
        (b'{"one":{"name":"n"},"count":"x"}', "input.count"),
        (b"{}", "input"),
        (b'{"one":{"name":"n"},"other":1}', "input"),
    ],
)
def test_a_misfit_is_invalid_input_with_its_path(data, path):
    def f(one: Model, count: int = 1): ...

    with pytest.raises(InvalidInput) as caught:
        Signature("a", f).decode(data)
    assert caught.value.errors[0].path == path


def test_a_misfit_of_a_few_values_is_told_with_the_few():
    def f(line: dict[str, list[Literal["red", "green"]]], colour: Colour | None = None): ...

    for data, choices in (
        (b'{"line": {"a": ["pink"]}}', '"green" or "red"'),
        (b'{"line": {}, "colour": "pink"}', '"red"'),
    ):
        with pytest.raises(InvalidInput, match="does not fit agent a") as caught:
            Signature("a", f).decode(data)
        assert f"'pink', expected {choices}" in caught.value.errors[0].message
        assert caught.value.errors[0].message in caught.value.message


def test_a_result_of_a_step_that_is_none_of_a_few_is_told_with_the_few():
    with pytest.raises(msgspec.ValidationError, match='expected "green" or "red"'):
        shape_of(list[Literal["red", "green"]]).decode(b'["pink"]')


def test_one_parameter_takes_its_bare_value():
    def f(ctx, text: str): ...

    assert Signature("a", f).decode(b'"hello"') == {"text": "hello"}
    assert Signature("a", f).decode(b' {"text":"hello"}') == {"text": "hello"}


def test_the_context_is_found_by_annotation_or_name_or_is_absent():
    def by_type(context: Context, x: int): ...
    def by_name(ctx, x: int): ...
    def without(x: int): ...

    assert Signature("a", by_type).takes_context
    assert Signature("a", by_name).takes_context
    assert not Signature("a", without).takes_context


def test_hints_are_read_through_a_decorator():
    def f(x: int) -> str: ...

    @functools.wraps(f)
    def g(*args, **kwargs): ...

    assert schema_of(g)["properties"] == {"x": {"type": "integer"}}


def test_unannotated_parameters_take_anything():
    def f(x, y: Any = None): ...

    assert schema_of(f)["properties"] == {"x": {}, "y": {"default": None}}
    assert Signature("a", f).decode(b'{"x":[1]}') == {"x": [1], "y": None}


def test_limits_in_annotations_reach_the_schema():
    def f(x: Annotated[int, msgspec.Meta(ge=1)]): ...

    assert schema_of(f)["properties"]["x"]["minimum"] == 1


def opaque(x: Opaque): ...
def opaque_inside(x: list[Opaque]): ...
def opaque_result(x: int) -> Opaque: ...
def two_structs(x: Money | Line): ...
def star(*args: int): ...
def star_star(**kwargs: int): ...
def positional(x: int, /): ...
def late_context(x: int, ctx: Context): ...


@pytest.mark.parametrize(
    ("function", "words"),
    [
        (opaque, ["agent a", "parameter x", "Opaque", "dataclasses"]),
        (opaque_inside, ["agent a", "parameter x", "Opaque", "dataclasses"]),
        (opaque_result, ["agent a", "result", "Opaque"]),
        (star, ["parameter args", "name each parameter"]),
        (star_star, ["parameter kwargs", "name each parameter"]),
        (positional, ["parameter x", "remove the `/`"]),
        (late_context, ["parameter ctx", "first parameter"]),
    ],
)
def test_a_schema_that_cannot_be_made_names_agent_parameter_type_and_cure(function, words):
    with pytest.raises(WrongUse) as caught:
        Signature("a", function)
    assert all(word in caught.value.message for word in words), caught.value.message
    assert "\n" not in caught.value.message


def test_an_unknown_name_in_a_hint_is_told():
    def f(x: "Missing"): ...  # noqa: F821 - it must be missing

    with pytest.raises(WrongUse, match="Missing"):
        Signature("a", f)


def test_two_types_of_one_name_are_told():
    class Money(msgspec.Struct):  # another type of the same name, on purpose
        euros: int

    def f(x, y): ...

    f.__annotations__ = {"x": Money, "y": globals()["Money"]}
    with pytest.raises(WrongUse, match="two different types are called Money"):
        Signature("a", f)
