import pytest
from requests_by_hand import request

from dayshift.gateway import headers
from dayshift.gateway.problems import HttpError


@pytest.mark.parametrize(
    ("sent", "key"),
    [
        ("abc", "abc"),
        ('"abc"', "abc"),
        ('"a \\"b\\" \\\\c"', 'a "b" \\c'),
        ("  8e03978e-40d5-43dd-bc93-6894a57f9324 ", "8e03978e-40d5-43dd-bc93-6894a57f9324"),
        ("k" * 255, "k" * 255),
        ('"' + "k" * 255 + '"', "k" * 255),
    ],
)
def test_an_idempotency_key_comes_quoted_or_bare(sent, key):
    assert headers.idempotency_key(request(headers={"idempotency-key": sent})) == key


@pytest.mark.parametrize(
    "sent", ["", '""', "k" * 256, '"' + "k" * 256 + '"', '"open', 'a"b"\x7f', "schlüssel", '"a"b"']
)
def test_what_is_no_idempotency_key_is_refused(sent):
    with pytest.raises(HttpError) as caught:
        headers.idempotency_key(request(headers={"idempotency-key": sent}))
    assert caught.value.status == 400


def test_two_idempotency_keys_are_refused():
    with pytest.raises(HttpError):
        headers.idempotency_key(request(headers=[("idempotency-key", "a"), ("idempotency-key", "b")]))


@pytest.mark.parametrize(
    ("sent", "seconds"),
    [
        ("wait=10", 10),
        ("respond-async, wait=10", 10),
        ('Wait="7"; x=y', 7),
        ("wait=0", 0),
        ("wait=9999999999999999999", 60),
        ("return=minimal", None),
        ("", None),
    ],
)
def test_the_preferred_wait(sent, seconds):
    assert headers.preferred_wait(request(headers={"prefer": sent})) == seconds


@pytest.mark.parametrize("sent", ["wait", "wait=", "wait=-1", "wait=abc", "wait=1.5", "wait=١"])
def test_a_wait_that_is_none_is_refused(sent):
    with pytest.raises(HttpError) as caught:
        headers.preferred_wait(request(headers={"prefer": sent.encode().decode("latin-1")}))
    assert caught.value.status == 400


def test_a_trace_is_taken_up_when_it_is_valid():
    trace = "4bf92f3577b34da6a3ce929d0e0e4736"
    assert headers.trace_id(request(headers={"traceparent": f"00-{trace}-00f067aa0ba902b7-01"})) == trace
    for sent in (f"00-{'0' * 32}-00f067aa0ba902b7-01", f"ff-{trace}-00f067aa0ba902b7-01", "junk", ""):
        assert headers.trace_id(request(headers={"traceparent": sent})) is None
    assert headers.trace_id(request()) is None


def test_an_event_stream_resumes_after_a_number():
    assert headers.last_event_id(request(headers={"last-event-id": "1700000000000000"})) == 1700000000000000
    assert headers.last_event_id(request(headers={"last-event-id": ""})) is None
    for sent in ("-1", "x", "1.5", "9" * 40):
        with pytest.raises(HttpError):
            headers.last_event_id(request(headers={"last-event-id": sent}))


def test_if_match_names_a_version():
    for sent in ("7", '"7"', 'W/"7"'):
        assert headers.if_match(request(headers={"if-match": sent})) == 7
    assert headers.if_match(request(headers={"if-match": "*"})) is None
    assert headers.if_match(request()) is None
    with pytest.raises(HttpError):
        headers.if_match(request(headers={"if-match": '"abc"'}))
