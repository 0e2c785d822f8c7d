"""The wire: what goes out together, what a loss does, and what errors become."""

import asyncio
import inspect
import time
from urllib.parse import urlsplit

import crowd
import pytest
import redis.exceptions
from proxy import Proxy

from dayshift.domain.errors import DayshiftError, PlaneAway, PlaneNotReady, WrongUse
from dayshift.domain.events import DependencyBack, DependencyLost
from dayshift.hotplane import RECONNECTED, Plane
from dayshift.hotplane.address import Address, parse
from dayshift.hotplane.border import FOREIGN_ERRORS, translated
from dayshift.hotplane.server_check import check_server


@pytest.fixture
async def proxy(valkey_url):
    proxy = Proxy(valkey_url)
    await proxy.accept()
    yield proxy
    await proxy.refuse()


@pytest.fixture
async def through_proxy(proxy):
    events = []
    plane = Plane(proxy.url, timeout_seconds=0.3, emit=events.append)
    plane.events = events
    await plane.open()
    plane.epoch = 1
    await plane.write_marker()
    yield plane
    await plane.close()


async def eventually(attempt):
    async with asyncio.timeout(10):
        while True:
            try:
                return await attempt()
            except PlaneAway:
                await asyncio.sleep(0.01)


async def test_what_is_asked_in_one_turn_goes_out_in_one_write(monkeypatch, valkey_url):
    writes = []
    connect = Address.connect

    async def connect_and_count(self, timeout_seconds):
        connection = await connect(self, timeout_seconds)
        send = connection.send_packed_command

        async def counting(packed, *, check_health):
            writes.append(packed)
            await send(packed, check_health=check_health)

        connection.send_packed_command = counting
        return connection

    monkeypatch.setattr(Address, "connect", connect_and_count)
    plane = Plane(valkey_url)
    await plane.open()
    writes.clear()
    answers = await asyncio.gather(*(plane._wire.ask(b"ECHO", str(number)) for number in range(100)))
    assert answers == [str(number).encode() for number in range(100)]
    assert len(writes) == 1
    await plane.close()


async def test_the_error_of_one_request_is_nobody_elses(plane):
    answers = await asyncio.gather(
        plane._wire.ask(b"ECHO", "one"),
        plane._wire.ask(b"NONSENSE"),
        plane._wire.ask(b"ECHO", "two"),
        return_exceptions=True,
    )
    assert (answers[0], type(answers[1]), answers[2]) == (b"one", PlaneAway, b"two")


async def test_a_cancelled_request_does_not_shift_the_others(plane):
    given_up = asyncio.create_task(plane._wire.ask(b"ECHO", "given up"))
    kept = asyncio.create_task(plane._wire.ask(b"ECHO", "kept"))
    await asyncio.sleep(0)
    given_up.cancel()
    assert await kept == b"kept"
    assert given_up.cancelled()


async def test_a_lost_connection_comes_back_by_itself(through_proxy, proxy):
    plane = through_proxy
    await proxy.refuse()
    with pytest.raises(PlaneAway):
        for _ in range(50):
            await plane.now_us()
            await asyncio.sleep(0.01)
    await proxy.accept()
    assert await eventually(plane.now_us) > 0
    lost, back = plane.events
    assert isinstance(lost, DependencyLost)
    assert isinstance(back, DependencyBack)
    assert back.away_seconds > 0


async def test_a_server_that_says_nothing_is_given_up_in_time(through_proxy, proxy):
    proxy.stall = True
    started = time.monotonic()
    with pytest.raises(PlaneAway):
        await through_proxy.now_us()
    assert time.monotonic() - started < 3
    proxy.stall = False
    assert await eventually(through_proxy.now_us) > 0


async def test_a_loop_that_stood_still_does_not_blame_the_server(through_proxy):
    asking = asyncio.create_task(through_proxy.now_us())
    await asyncio.sleep(0)
    await asyncio.sleep(0)
    time.sleep(1.0)  # noqa: ASYNC251 - a blocked loop is what this is about
    assert await asking > 0
    assert through_proxy.events == []


async def test_a_server_that_is_not_there_is_an_error_at_once():
    plane = Plane("redis://user:hush@127.0.0.1:1/0")
    with pytest.raises(PlaneAway) as caught:
        await plane.open()
    assert "127.0.0.1:1" in caught.value.message
    assert "hush" not in caught.value.message
    with pytest.raises(PlaneAway):
        await plane.now_us()
    await plane.close()
    await plane.close()


async def test_a_wrong_password_is_wrong_use_and_not_repeated_in_the_message(valkey_url):
    scheme, _, rest = valkey_url.partition("://")
    wrong = f"{scheme}://somebody:hush-hush@{rest.rpartition('@')[2]}"
    with pytest.raises(WrongUse) as caught:
        await Plane(wrong).open()
    assert "hush" not in caught.value.message


async def test_two_planes_live_on_two_loops(valkey_url, plane):
    async def elsewhere():
        other = Plane(valkey_url)
        await other.open()
        other.epoch = 1
        answer = await other.beat(crowd.worker(), 0, 0)
        await other.close()
        return answer

    assert await asyncio.to_thread(asyncio.run, elsewhere()) == "same"


async def test_a_subscription_survives_a_loss_and_says_so(through_proxy, proxy):
    sub = through_proxy.subscriber()
    messages = aiter(sub)
    await sub.add("one", "two")
    sub.remove("two")
    await eventually(lambda: through_proxy.publish("two", "unheard"))
    await eventually(lambda: through_proxy.publish("one", "first"))
    assert await anext(messages) == ("one", b"first")
    await proxy.cut()
    assert await anext(messages) == (RECONNECTED, b"")
    await sub.add("three")
    for channel in ("one", "three"):
        assert await eventually(lambda channel=channel: through_proxy.publish(channel, "again")) == 1
        assert await anext(messages) == (channel, b"again")
    await sub.close()
    assert [message async for message in messages] == []
    await sub.close()


async def test_a_channel_that_is_wanted_again_at_once_is_heard(plane):
    sub = plane.subscriber()
    await sub.add("one")
    sub.remove("one")
    await sub.add("one")
    assert await plane.publish("one", "hello") == 1
    assert await anext(aiter(sub)) == ("one", b"hello")
    await sub.close()


async def test_a_message_is_handed_on_as_it_is_read(plane):
    heard = asyncio.Queue()
    sub = plane.subscriber(lambda channel, payload: heard.put_nowait((channel, payload)))
    await sub.add("one")
    await plane.publish("one", "hello")
    assert await asyncio.wait_for(heard.get(), 5) == ("one", b"hello")
    await sub.close()


async def test_a_subscription_without_a_server_waits_for_it(through_proxy, proxy):
    await proxy.refuse()
    sub = through_proxy.subscriber()
    await sub.add("one")
    await proxy.accept()
    async with asyncio.timeout(10):
        while not await eventually(lambda: through_proxy.publish("one", "hello")):
            await asyncio.sleep(0.01)
    assert await anext(aiter(sub)) == ("one", b"hello")
    await sub.close()


async def test_a_subscription_outlives_a_server_that_refuses_it_for_a_while(through_proxy, proxy, monkeypatch):
    """As while a password is being changed."""
    sub = through_proxy.subscriber()
    await sub.add("one")
    connect, refusals, refused = Address.connect, 3, asyncio.Event()

    async def refuse_at_first(self, timeout_seconds):
        nonlocal refusals
        if asyncio.current_task().get_name() == "hotplane-subscription" and refusals:
            refusals -= 1
            refused.set()
            raise WrongUse("the password is refused")
        return await connect(self, timeout_seconds)

    monkeypatch.setattr(Address, "connect", refuse_at_first)
    await proxy.cut()
    async with asyncio.timeout(10):
        await refused.wait()
        assert await anext(aiter(sub)) == (RECONNECTED, b"")
    await sub.close()


async def test_a_plane_that_was_away_when_it_was_opened_is_reached_when_it_comes(proxy):
    await proxy.refuse()
    plane = Plane(proxy.url, timeout_seconds=0.3)
    with pytest.raises(PlaneAway):
        await plane.open()
    reaching = asyncio.create_task(plane.open_whenever())
    with pytest.raises(PlaneAway):
        await plane.now_us()
    await proxy.accept()
    async with asyncio.timeout(10):
        await reaching
    assert await plane.now_us() > 0
    await plane.close()


class Told:
    """A server that answers INFO as told."""

    address = parse("redis://somewhere")

    def __init__(self, **facts: str) -> None:
        self._facts = {"redis_version": "7.2.4", "maxmemory_policy": "noeviction", "role": "master"} | facts

    async def ask(self, *_parts):
        return "\r\n".join(f"{name}:{value}" for name, value in self._facts.items()).encode()


@pytest.mark.parametrize(
    ("facts", "word"),
    [
        ({"maxmemory_policy": "allkeys-lru"}, "maxmemory-policy noeviction"),
        ({"redis_version": "6.2.14"}, "from 7.0"),
        ({"cluster_enabled": "1"}, "comes later"),
        ({"role": "slave"}, "primary"),
    ],
)
async def test_a_server_that_cannot_be_used_is_refused_with_the_cure(facts, word):
    await check_server(Told())
    with pytest.raises(WrongUse, match=word):
        await check_server(Told(**facts))


@pytest.mark.parametrize(
    ("url", "name", "hosts"),
    [
        ("redis://h", "h/0", (("h", 6379),)),
        ("valkey://h:7/3", "h:7/3", (("h", 7),)),
        ("redis://u:p%40ss@h:7/3", "h:7/3", (("h", 7),)),
        ("redis://[::1]:7/0", "[::1]:7/0", (("::1", 7),)),
        ("valkeys://h", "h/0", (("h", 6379),)),
        ("unix:///run/valkey.sock?db=4", "unix:/run/valkey.sock", ()),
        ("valkey+sentinel://:pw@a:1,b/main/2", "a:1,b/main", (("a", 1), ("b", 26379))),
        ("redis+sentinel://a/main", "a/main", (("a", 26379),)),
    ],
)
def test_urls_that_are_understood(url, name, hosts):
    address = parse(url)
    assert (address.name, address.hosts) == (name, hosts)
    assert address.tls == ("valkeys" in url)
    assert address.options.get("db", 0) == {"valkey://h:7/3": 3, "redis://u:p%40ss@h:7/3": 3}.get(
        url, 4 if "db=4" in url else 2 if url.endswith("/2") else 0
    )
    if "p%40ss" in url:
        assert address.credentials == ("u", "p@ss")


@pytest.mark.parametrize(
    "url",
    [
        "http://:secret@h",
        "redis://:secret@h:port/0",
        "redis://:secret@h/zero",
        "redis://:secret@h?nonsense=1",
        "redis+cluster://:secret@h",
        "redis+sentinel://:secret@h",
        "secret",
        "",
    ],
)
def test_urls_that_are_not_understood_are_never_quoted(url):
    with pytest.raises(WrongUse) as caught:
        parse(url)
    assert "secret" not in caught.value.message
    assert caught.value.__cause__ is None
    assert caught.value.__suppress_context__ or caught.value.__context__ is None


FOREIGN = [kind for _, kind in inspect.getmembers(redis.exceptions, inspect.isclass) if issubclass(kind, Exception)]


@pytest.mark.parametrize("kind", FOREIGN, ids=lambda kind: kind.__name__)
def test_no_foreign_error_is_forgotten(kind):
    assert issubclass(kind, FOREIGN_ERRORS)
    error = kind.__new__(kind)
    assert isinstance(translated(error, "server"), DayshiftError)


def test_not_ready_is_its_own_error():
    assert isinstance(translated(redis.exceptions.ResponseError("NOT_READY x"), "s"), PlaneNotReady)


async def test_a_sentinel_is_asked_for_the_primary(valkey_url):
    async def sentinel(reader, writer):
        """Says OK to the greeting and names the proxy as the primary."""
        while line := await reader.readline():
            if line.startswith(b"*"):
                words = []
                for _ in range(int(line[1:])):
                    await reader.readline()
                    words.append((await reader.readline()).strip())
                if words[0] == b"SENTINEL":
                    port = str(primary._port).encode()
                    writer.write(b"*2\r\n$9\r\n127.0.0.1\r\n$%d\r\n%s\r\n" % (len(port), port))
                else:
                    writer.write(b"+OK\r\n")
        writer.close()

    primary = Proxy(valkey_url)
    await primary.accept()
    whole = urlsplit(primary.url)
    login = whole.netloc.rpartition("@")[0]
    server = await asyncio.start_server(sentinel, "127.0.0.1", 0)
    port = server.sockets[0].getsockname()[1]
    plane = Plane(f"redis+sentinel://{login}{'@' if login else ''}127.0.0.1:1,127.0.0.1:{port}/main{whole.path}")
    await plane.open()
    assert await plane.now_us() > 0
    await plane.close()
    server.close()
    await primary.refuse()
