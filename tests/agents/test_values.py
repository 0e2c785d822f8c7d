import dataclasses
import math

import pydantic
import pytest

from dayshift.agents.values import VALUE_LIMIT_BYTES, Unencodable, encode_value


class Model(pydantic.BaseModel):
    size: float


@dataclasses.dataclass
class Data:
    size: float | None


class Opaque:
    pass


def test_what_authors_return_becomes_json():
    assert (
        encode_value({"a": [1, None, Data(None)], "b": Model(size=1.5)})
        == b'{"a":[1,null,{"size":null}],"b":{"size":1.5}}'
    )


class Text(str):
    __slots__ = ()

    def __str__(self):
        return "not what it says"


class Count(int):
    pass


class Share(float):
    pass


def test_text_and_numbers_of_a_class_of_their_own_are_text_and_numbers():
    assert encode_value({"a": [Text("said"), Count(3)], Text("b"): Share(0.5)}) == b'{"a":["said",3],"b":0.5}'
    with pytest.raises(Unencodable, match="finite"):
        encode_value(Share("nan"))


@pytest.mark.parametrize("bad", [math.nan, math.inf, -math.inf])
@pytest.mark.parametrize(
    ("wrap", "place"),
    [
        (lambda x: x, "$ "),
        (lambda x: {"a": [0, x]}, r"\$\.a\[1\]"),
        (Data, r"\$\.size"),
    ],
)
def test_non_finite_numbers_are_refused_with_their_place(bad, wrap, place):
    with pytest.raises(Unencodable, match=place.replace("$ ", r"\$ ")):
        encode_value(wrap(bad))


def test_a_model_that_holds_nan_is_refused():
    with pytest.raises(Unencodable, match=r"\$\.size"):
        encode_value(Model(size=math.nan))


@pytest.mark.parametrize("value", ["\ud800", {"a": "x\udfff"}, {"\ud800": 1}])
def test_lone_surrogates_are_refused(value):
    with pytest.raises(Unencodable, match="not Unicode"):
        encode_value(value)


def test_a_value_that_contains_itself_is_refused():
    value: list = []
    value.append(value)
    with pytest.raises(Unencodable, match="contains itself"):
        encode_value(value)


def test_an_opaque_object_is_named():
    with pytest.raises(Unencodable, match="Opaque"):
        encode_value({"a": Opaque()})


def test_a_huge_value_is_refused():
    with pytest.raises(Unencodable, match="store it"):
        encode_value("x" * VALUE_LIMIT_BYTES)


def test_whatever_a_foreign_model_dump_raises_is_said_clearly():
    class Broken:
        def model_dump(self, mode):
            raise KeyError(mode)

    with pytest.raises(Unencodable, match="raised KeyError: 'json'"):
        encode_value(Broken())
