import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from dayshift.domain.errors import InvalidInput
from dayshift.settings.paths import LONGEST_NAME, canonical, parse

NAMES = st.text(st.characters(exclude_categories=("Cs", "Cc"), exclude_characters="\x7f"), min_size=1, max_size=20)


@pytest.mark.parametrize(
    ("text", "names"),
    [
        ("", ()),
        ("gateway", ("gateway",)),
        ("tenants.*.weight", ("tenants", "*", "weight")),
        ('tenants."acme.com".weight', ("tenants", "acme.com", "weight")),
        ('tenants."a\\"b".weight', ("tenants", 'a"b', "weight")),
        ("queues.läufer-1/x", ("queues", "läufer-1/x")),
    ],
)
def test_a_path_is_names_joined_by_dots(text: str, names: tuple[str, ...]):
    assert parse(text) == names
    assert canonical(names) == text


def test_one_setting_has_one_text():
    assert canonical(parse('queues."default".paused')) == "queues.default.paused"


@pytest.mark.parametrize(
    "text",
    [
        ".",
        "a.",
        ".a",
        "a..b",
        "a b",
        'a."b',
        'a"b"',
        '"a"b',
        '""',
        '"\\ud800"',
        "a\x00b",
        '"a\\u0000"',
        "x" * (LONGEST_NAME + 1),
        "a." * 400,
    ],
)
def test_what_is_no_path_is_refused_with_the_cure(text: str):
    with pytest.raises(InvalidInput, match="Write names joined by dots") as caught:
        parse(text)
    assert caught.value.code == "invalid_path"


@given(st.lists(NAMES, max_size=4))
@settings(deadline=None, max_examples=100)
def test_any_names_survive_the_round_trip(names: list[str]):
    assert parse(canonical(tuple(names))) == tuple(names)
