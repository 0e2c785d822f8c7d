"""The provider's books: what was served, by the second."""

import time

from dayshift.fakellm.books import Books
from dayshift.fakellm.limits import Account, Limit
from tests.fakellm.process import chat_body


def account_of(books: Books, start: int = 0, end: int | None = None):
    [account] = books.report(start, end)["accounts"]
    return account


def test_the_highest_minute_slides_over_the_minutes_of_the_clock():
    books = Books()
    account = Account("k", Limit(requests_per_minute=100, tokens_per_minute=1000), time.monotonic())
    for second, requests in ((50, 60), (70, 50), (109, 5), (110, 7), (300, 80)):
        books.add(account, "m", books.started + second + 0.5, requests=requests, input_tokens=2 * requests)
    report = account_of(books, 60, 120)
    assert report["highest_minute"] == {"requests": 115, "tokens": 230, "input_tokens": 230, "output_tokens": 0}
    assert [(minute["minute"], minute["requests"]) for minute in report["minutes"]] == [(0, 60), (1, 62), (5, 80)]
    assert report["use_percent"] == {"requests": 62.0, "tokens": 12.4}


def test_served_refused_and_failed_are_told_apart(fake):
    fake.limit({"keys": {"k": {"requests_per_minute": 3}}})
    fake.script({"contains": "fail", "status": 500}, {"output_tokens": 7})
    for text in ("fail", "one", "two", "three"):
        fake.http.post("/v1/chat/completions", json=chat_body(text), headers={"authorization": "Bearer k"})
    [account] = fake.books()["accounts"]
    counts = account["sum"]
    assert account["key"] == "k"
    assert (counts["requests"], counts["errors"], counts["refused_requests"]) == (2, 1, 1)
    assert (counts["input_tokens"], counts["output_tokens"], counts["tokens"]) == (2, 14, 16)
    assert list(account["models"]) == ["gpt-4o-mini"]
    fake.http.post("/_fake/reset")
    assert fake.books()["accounts"] == []


def test_a_span_that_ends_before_it_begins_is_refused(fake):
    assert fake.http.get("/_fake/books?from=9&to=3").status_code == 400
    assert fake.http.get("/_fake/books?from=soon").status_code == 400
