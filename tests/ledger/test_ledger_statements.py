import re
from pathlib import Path

import pytest

import dayshift.ledger
from dayshift.ledger.statements import SQL, parse


def test_a_file_is_split_into_named_statements():
    text = "-- preface\n-- name: one\n-- Gives one.\nSELECT 1;\n\n-- name: two\n-- Gives two.\nSELECT\n  2;\n"
    assert parse(text) == {"one": "/* one */ SELECT 1", "two": "/* two */ SELECT\n  2"}


@pytest.mark.parametrize(
    "text", ["-- name: one\nSELECT 1;", "-- name: one\n-- A.\nSELECT 1;\n-- name: one\n-- B.\nSELECT 1;"]
)
def test_a_statement_without_a_promise_or_with_a_taken_name_is_refused(text):
    with pytest.raises(ValueError, match=r"promise|two statements"):
        parse(text)


def test_every_statement_is_used_and_every_used_one_exists():
    code = "".join(path.read_text() for path in Path(dayshift.ledger.__file__).parent.glob("*.py"))
    used = set(
        re.findall(
            r'(?:(?:fetch|fetch_one|batch|_places|_of_locked)\(\s*|fetch_of_locked\(\w+, |SQL\[)"([a-z0-9_]+)"', code
        )
    )
    assert used == set(SQL)
