"""One request to a stranger: where it goes, where it does not, and what it puts up with."""

import asyncio
import contextlib
import ssl
import subprocess
import sys
import tempfile
import threading
from collections.abc import AsyncIterator

import pytest

from dayshift.worker.webhooks import sending
from dayshift.worker.webhooks.answers import Unreachable
from dayshift.worker.webhooks.sending import Sender
from tests.certificates import a_certificate
from tests.worker.receiver import OK, Receiver, receiving, status

NAME = "receiver.example"


def here(_host: str, _port: int) -> list[str]:
    return ["127.0.0.1"]


def sender(**more) -> Sender:
    return Sender(lambda: True, **{"resolve": here, **more})


async def post(through: Sender, url: str) -> int:
    return (await through.send(url, {"webhook-id": "evt_1"}, b"{}")).status


async def test_a_name_is_resolved_once_and_its_address_is_the_one_that_was_checked(monkeypatch):
    """DNS rebinding: the second look-up answers with an address that only we can reach."""
    monkeypatch.setattr(sending, "is_public", lambda address: address == "127.0.0.1")
    answers = iter([["127.0.0.1"], ["127.0.0.2"], ["127.0.0.1", "127.0.0.2"]])
    asked: list[str] = []

    def rebinding(host: str, _port: int) -> list[str]:
        asked.append(host)
        return next(answers)

    private: list[object] = []
    async with tls_receiver() as (receiver, tls):
        victim = await asyncio.start_server(lambda *line: private.append(line), "127.0.0.2", receiver.port)
        through = Sender(lambda: False, resolve=rebinding, tls=tls)
        url = f"https://{NAME}:{receiver.port}/hook?a=b"
        assert await post(through, url) == 200
        assert asked == [NAME]
        for _ in range(2):
            with pytest.raises(Unreachable, match="private address"):
                await post(through, url)
        victim.close()
    assert private == []
    (call,) = receiver.calls
    assert (call.path, call.headers["host"]) == ("/hook?a=b", f"{NAME}:{receiver.port}")


async def test_a_certificate_must_be_of_the_name_and_of_somebody_trusted():
    async with tls_receiver() as (receiver, tls):
        with pytest.raises(Unreachable, match="CERTIFICATE_VERIFY_FAILED"):
            await post(sender(), f"https://{NAME}:{receiver.port}/")
        with pytest.raises(Unreachable, match="CERTIFICATE_VERIFY_FAILED"):
            await post(sender(tls=tls), f"https://other.example:{receiver.port}/")
        assert await post(sender(tls=tls), f"https://{NAME}:{receiver.port}/") == 200
    assert len(receiver.calls) == 1


async def test_an_answer_that_does_not_come_is_not_waited_for():
    async def never(_call) -> None:
        await asyncio.sleep(30)

    async with receiving() as receiver:
        receiver.answer = never
        with pytest.raises(Unreachable, match=r"within 0\.2 s"):
            await post(sender(answer_seconds=0.2), receiver.url)


async def test_of_an_endless_body_only_the_beginning_is_taken():
    async with receiving() as receiver:
        receiver.answer = lambda _call: b"HTTP/1.1 201 Made\r\ncontent-length: 99999999999\r\n\r\n" + b"x" * 5_000_000
        assert await post(sender(), receiver.url) == 201


async def test_a_body_that_never_ends_is_left():
    async with receiving() as receiver:
        receiver.answer = lambda _call: b"HTTP/1.1 200 OK\r\ncontent-length: 10\r\n\r\nx"
        assert await post(sender(), receiver.url) == 200


@pytest.mark.parametrize(
    "answer",
    [None, b"nonsense\r\n\r\n", b"HTTP/1.1 200 OK\r\n" + b"".join(b"x%d: y\r\n" % n for n in range(50_000)) + b"\r\n"],
    ids=["cut", "no-http", "endless-head"],
)
async def test_what_is_no_answer_is_told_as_none(answer):
    async with receiving() as receiver:
        receiver.answer = lambda _call: answer
        with pytest.raises(Unreachable) as raised:
            await post(sender(), receiver.url)
    assert "/hook" not in str(raised.value)


async def test_redirects_are_not_followed():
    async with receiving() as elsewhere, receiving() as receiver:
        receiver.answer = lambda _call: status(307, f"location: {elsewhere.url}")
        assert await post(sender(), receiver.url) == 307
    assert elsewhere.connections == 0


async def test_proxies_of_the_environment_are_not_asked(monkeypatch):
    async with receiving() as proxy, receiving() as receiver:
        for name in ("HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY"):
            monkeypatch.setenv(name, f"http://127.0.0.1:{proxy.port}")
        assert await post(sender(), receiver.url) == 200
    assert (proxy.connections, receiver.connections) == (0, 1)


async def test_the_next_address_of_a_name_is_tried():
    async with receiving() as receiver:
        through = sender(resolve=lambda _host, _port: ["127.0.0.9", "127.0.0.1"])
        assert await post(through, f"http://{NAME}:{receiver.port}/") == 200


async def test_a_name_that_does_not_resolve_is_told():
    def nobody(_host: str, _port: int) -> list[str]:
        raise OSError("no such host")

    with pytest.raises(Unreachable, match="does not resolve"):
        await post(sender(resolve=nobody), "https://nobody.example/secret")


async def test_look_ups_that_hang_hold_up_no_thread_of_the_loop_and_no_more_than_eight_are_under_way():
    released, hanging = threading.Event(), []

    def hangs(host: str, _port: int) -> list[str]:
        hanging.append(host)
        released.wait(30)
        return ["127.0.0.1"]

    through = sender(resolve=hangs, answer_seconds=0.1)
    tries = (post(through, f"http://{number}.example/") for number in range(20))
    outcomes = await asyncio.gather(*tries, return_exceptions=True)
    assert all(isinstance(one, Unreachable) and "within" in str(one) for one in outcomes)
    assert len(hanging) == 8
    assert all(thread.daemon for thread in threading.enumerate() if thread.name == "webhook-resolver")
    await asyncio.get_running_loop().run_in_executor(None, int)
    released.set()
    async with receiving() as receiver:
        assert await post(sender(resolve=hangs), receiver.url) == 200
        assert await post(through, receiver.url) == 200, "the places came back"


@pytest.mark.parametrize(
    ("said", "seconds"),
    [
        ("120", 120),
        ("0", 0),
        ("999999999", 86_400),
        ("soon", None),
        ("-5", None),
        (None, None),
        ("Wed, 21 Oct 2015 07:28:00 GMT", 0),
    ],
)
async def test_retry_after_is_read_as_http_has_it(said, seconds):
    async with receiving() as receiver:
        receiver.answer = lambda _call: OK if said is None else status(503, f"retry-after: {said}")
        answer = await sender().send(receiver.url, {}, b"{}")
    assert answer.retry_after_seconds == seconds


def test_processes_that_tell_nobody_import_no_http_library():
    code = "import sys, dayshift.app, dayshift.worker; sys.exit('httpx2' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0


@contextlib.asynccontextmanager
async def tls_receiver() -> AsyncIterator[tuple[Receiver, ssl.SSLContext]]:
    """A receiver with a certificate for NAME, and what trusts it."""
    certificate, key = a_certificate(NAME)
    serves = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    with tempfile.NamedTemporaryFile("w", suffix=".pem") as file:
        file.write(certificate + key)
        file.flush()
        serves.load_cert_chain(file.name)
    async with receiving(serves) as receiver:
        yield receiver, ssl.create_default_context(cadata=certificate)
