"""What was asked and answered, by content."""

import socket

from dayshift.fakellm.tally import content_key
from tests.fakellm.process import chat_body


def test_equal_content_is_one_key_however_it_is_asked(fake):
    fake.http.post("/v1/chat/completions", json=chat_body("same"))
    fake.http.post("/v1/chat/completions", json=chat_body("same", stream=True, metadata={"a": "b"}, user="u"))
    fake.http.post("/v1/chat/completions", json=chat_body("same", temperature=0.5))
    calls = fake.calls()
    assert [(call["n_received"], call["n_answered"]) for call in calls] == [(2, 2), (1, 1)]
    assert calls[0]["key"] == content_key("/v1/chat/completions", chat_body("same"))
    assert calls[0]["last_message"] == "same"
    assert calls[0]["path"] == "/v1/chat/completions"


def test_the_order_of_fields_does_not_matter_and_the_path_does():
    assert content_key("/a", {"x": 1, "y": 2}) == content_key("/a", {"y": 2, "x": 1})
    assert content_key("/a", {"x": 1}) != content_key("/b", {"x": 1})


def test_errors_are_received_and_refused_not_answered(fake):
    fake.script({"status": 500})
    fake.http.post("/v1/chat/completions", json=chat_body())
    fake.http.post("/v1/chat/completions", content=b"{")
    assert fake.stats() == {"received": 2, "answered": 0, "refused": 2, "aborted": 0, "open": 0}
    assert [call["n_answered"] for call in fake.calls()] == [0, 0]


def test_a_caller_that_hangs_up_aborts_the_call(fake):
    fake.script(latency=60)
    hang_up = send_raw(fake, chat_body("gone"))
    fake.wait_for_stats(received=1, open=1)
    hang_up.close()
    assert fake.wait_for_stats(open=0) == {"received": 1, "answered": 0, "refused": 0, "aborted": 1, "open": 0}


def test_a_caller_that_hangs_up_amid_a_stream_aborts_the_call(fake):
    fake.script({"answer": "x" * 400, "tokens_per_second": 5})
    hang_up = send_raw(fake, chat_body("gone", stream=True))
    assert hang_up.recv(4096).startswith(b"HTTP/1.1 200 OK")
    hang_up.close()
    fake.wait_for_stats(aborted=1, answered=0, open=0)


def test_an_answer_that_the_caller_does_not_read_is_not_answered(fake):
    fake.script({"output_tokens": 8_000_000})
    slow = send_raw(fake, chat_body("big"))
    assert slow.recv(16)
    fake.wait_for_stats(received=1, open=1, answered=0)
    slow.close()
    fake.wait_for_stats(aborted=1, open=0)


def test_reset_starts_at_zero_and_an_open_call_ends_in_the_old_count(fake):
    fake.script(latency=60)
    hang_up = send_raw(fake, chat_body())
    fake.wait_for_stats(open=1)
    fake.http.post("/_fake/reset")
    hang_up.close()
    fake.script()
    fake.http.post("/v1/chat/completions", json=chat_body("after"))
    assert fake.stats() == {"received": 1, "answered": 1, "refused": 0, "aborted": 0, "open": 0}
    assert len(fake.calls()) == 1


def send_raw(fake, body) -> socket.socket:
    import json

    content = json.dumps(body).encode()
    connection = socket.create_connection(fake.host_and_port, timeout=10)
    head = f"POST /v1/chat/completions HTTP/1.1\r\nhost: x\r\ncontent-length: {len(content)}\r\n\r\n"
    connection.sendall(head.encode() + content)
    return connection
