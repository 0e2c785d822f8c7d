"""HTTP, and the provider's errors for calls that are none."""

import json
import socket
import subprocess
import sys

import pytest

from tests.fakellm.process import chat_body, fake_provider


@pytest.mark.parametrize(
    ("path", "body", "shown"),
    [
        ("/v1/chat/completions", b"{not json", "parse"),
        ("/v1/chat/completions", b"[]", "object"),
        ("/v1/chat/completions", b'"\xff"', "parse"),
        ("/v1/chat/completions", b'{"messages": [{"role": "user", "content": "x"}]}', "model"),
        ("/v1/chat/completions", b'{"model": "m", "messages": []}', "messages"),
        ("/v1/chat/completions", b'{"model": "m", "messages": [1], "max_tokens": -1}', "max_tokens"),
        ("/v1/responses", b'{"model": "m"}', "input"),
        ("/v1/messages", b'{"model": "m", "messages": [{"role": "user", "content": "x"}]}', "max_tokens"),
    ],
)
def test_a_bad_call_gets_400_in_the_providers_shape(fake, path, body, shown):
    answer = fake.http.post(path, content=body)
    assert answer.status_code == 400
    error = answer.json()["error"]
    assert error["type"] == "invalid_request_error"
    assert shown in error["message"]
    assert ("request_id" in answer.json()) == (path == "/v1/messages")


def test_unknown_paths_and_methods(fake):
    assert fake.http.post("/v1/moderations", json={}).status_code == 404
    assert fake.http.get("/").json()["error"]["type"] == "invalid_request_error"
    assert fake.http.get("/v1/chat/completions").status_code == 405
    assert fake.http.get("/_fake/nothing").status_code == 404
    assert fake.http.post("/_fake/script", content=b"{").status_code == 400


def test_prompts_of_every_form_are_read(fake):
    parts = [{"type": "text", "text": "look"}, {"type": "image_url", "image_url": {"url": "data:"}}]
    fake.http.post("/v1/chat/completions", json={"model": "m", "messages": [{"role": "user", "content": parts}]})
    items = [
        {"role": "user", "content": [{"type": "input_text", "text": "what now"}]},
        {"type": "function_call_output", "call_id": "c", "output": "42"},
    ]
    fake.http.post("/v1/responses", json={"model": "m", "input": items})
    result = [{"type": "tool_result", "tool_use_id": "t", "content": [{"type": "text", "text": "done"}]}]
    fake.http.post(
        "/v1/messages", json={"model": "m", "max_tokens": 9, "messages": [{"role": "user", "content": result}]}
    )
    assert [call["last_message"] for call in fake.calls()] == ["look", "what now", "done"]


def test_pipelined_requests_are_answered_in_order(fake):
    content = [json.dumps(chat_body(text)).encode() for text in ("one", "two", "three")]
    fake.script({"contains": "one", "latency": 0.05})
    with socket.create_connection(fake.host_and_port, timeout=10) as connection:
        for at, body in enumerate(content):
            last = "connection: close\r\n" if at == 2 else ""
            head = f"POST /v1/chat/completions HTTP/1.1\r\nhost: x\r\n{last}content-length: {len(body)}\r\n\r\n"
            connection.sendall(head.encode() + body)
        answer = b"".join(iter(lambda: connection.recv(65536), b"")).decode()
    assert answer.count("HTTP/1.1 200 OK") == 3
    assert answer.index(" to: one") < answer.index(" to: two") < answer.index(" to: three")


def test_a_chunked_body_and_a_large_one(fake):
    body = json.dumps(chat_body("x" * 300_000)).encode()
    chunked = fake.http.post("/v1/chat/completions", content=iter([body[:1000], body[1000:]]))
    assert chunked.json()["usage"]["prompt_tokens"] == 75_000


def test_what_is_no_http_is_refused(fake):
    with socket.create_connection(fake.host_and_port, timeout=10) as connection:
        connection.sendall(b"\x16\x03\x01nonsense\r\n\r\n")
        assert connection.recv(100).startswith(b"HTTP/1.1 400")
        assert connection.recv(100) == b""


def test_the_first_line_is_the_url_and_a_taken_port_says_its_cure():
    with fake_provider() as fake:
        host, port = fake.host_and_port
        assert (host, port > 0) == ("127.0.0.1", True)
        command = [sys.executable, "-m", "dayshift.fakellm", "--port", str(port)]
        second = subprocess.run(command, capture_output=True, text=True, timeout=30, check=False)
    assert second.returncode == 1
    assert second.stdout == ""
    assert "--port" in second.stderr
    assert len(second.stderr.splitlines()) == 1


@pytest.mark.parametrize("flags", [["--latency", "soon"], ["--tokens-per-second", "0"], ["--script", "/absent.json"]])
def test_wrong_usage_exits_2(flags):
    command = [sys.executable, "-m", "dayshift.fakellm", *flags]
    done = subprocess.run(command, capture_output=True, text=True, timeout=30, check=False)
    assert done.returncode == 2
    assert "Traceback" not in done.stderr
