"""Who a request belongs to; the ring's ledger is a fake, as only that can be told what time a key expires at."""

from datetime import timedelta

import pytest
from requests_by_hand import request

from dayshift.domain import api_keys
from dayshift.domain.clock import now
from dayshift.domain.errors import LedgerAway
from dayshift.domain.events import Fault
from dayshift.gateway.auth import LOOPBACK_CALLER, Gatekeeper, require
from dayshift.gateway.keyring import KeyRing
from dayshift.gateway.problems import HttpError
from dayshift.gateway.request import Caller
from dayshift.ledger.shapes import ActiveKey
from dayshift.telemetry import subscribe


class Keys:
    """The ledger's keys, in memory."""

    def __init__(self):
        self.rows = []
        self.made = False
        self.used = []
        self.away = False

    def make(self, tenant="acme", scopes=("submit", "read"), expires_at=None):
        made = api_keys.make_key()
        row = ActiveKey(id=made.id, hash=made.hash, tenant=tenant, scopes=list(scopes), expires_at=expires_at)
        self.rows.append(row)
        self.made = True
        return made

    async def active(self):
        return list(self.rows)

    async def list(self, tenant=None, *, limit=100, after=None):
        return ["a key"] if self.made else []

    async def touch(self, key_ids):
        if self.away:
            raise LedgerAway("gone")
        self.used += key_ids


@pytest.fixture
def keys():
    return Keys()


@pytest.fixture
async def ring(keys):
    ring = KeyRing(keys)
    await ring.open()
    yield ring
    await ring.close()


def bearer(secret):
    return {"authorization": f"Bearer {secret}"}


def refused(gatekeeper, asked):
    with pytest.raises(HttpError) as caught:
        gatekeeper.who_is(asked)
    assert caught.value.status == 401
    assert any(name == b"www-authenticate" for name, _ in caught.value.headers)
    return caught.value.code


async def test_a_key_says_tenant_and_scopes(keys, ring):
    made = keys.make(tenant="acme", scopes=["read"])
    await ring.refresh(1)
    gatekeeper = Gatekeeper(ring, open_loopback=False)
    assert gatekeeper.who_is(request(headers=bearer(made.secret))) == Caller("acme", frozenset({"read"}), made.id)
    assert gatekeeper.who_is(request(headers={"authorization": f"bearer  {made.secret} "})).tenant == "acme"


@pytest.mark.parametrize(
    "authorization", ["Bearer dsk_unknown", "Bearer ", "Basic dXNlcjpwYXNz", "dsk_x", "Bearer schl\xfcssel", "\x80"]
)
async def test_other_keys_do_not_open(keys, ring, authorization):
    keys.make()
    await ring.refresh()
    assert refused(Gatekeeper(ring, open_loopback=True), request(headers={"authorization": authorization})) == "bad_key"


async def test_a_revoked_key_is_refused_after_the_next_look(keys, ring):
    made = keys.make()
    await ring.refresh()
    gatekeeper = Gatekeeper(ring, open_loopback=True)
    gatekeeper.who_is(request(headers=bearer(made.secret)))
    keys.rows.clear()
    await ring.refresh()
    assert refused(gatekeeper, request(headers=bearer(made.secret))) == "bad_key"
    assert refused(gatekeeper, request()) == "missing_key"  # and the loopback stays shut


async def test_an_expired_key_is_refused_without_a_look(keys, ring):
    made = keys.make(expires_at=now() + timedelta(hours=1))
    expired = keys.make(expires_at=now() - timedelta(seconds=1))
    await ring.refresh()
    gatekeeper = Gatekeeper(ring, open_loopback=False)
    gatekeeper.who_is(request(headers=bearer(made.secret)))
    assert refused(gatekeeper, request(headers=bearer(expired.secret))) == "bad_key"


async def test_before_the_keys_are_read_nobody_is_judged(keys):
    with pytest.raises(LedgerAway):
        Gatekeeper(KeyRing(keys), open_loopback=False).who_is(request(headers=bearer("dsk_x")))


@pytest.mark.parametrize("address", ["127.0.0.1", "127.8.8.8", "::1", "::ffff:127.0.0.1"])
@pytest.mark.parametrize("host", ["127.0.0.1:8700", "localhost:8700", "[::1]:8700", "localhost"])
async def test_without_keys_an_open_loopback_lets_this_machine_in(ring, address, host):
    asked = request(client=address, headers={"host": host})
    assert Gatekeeper(ring, open_loopback=True).who_is(asked) == LOOPBACK_CALLER
    refused(Gatekeeper(ring, open_loopback=False), asked)


@pytest.mark.parametrize(
    ("address", "headers"),
    [
        ("192.168.1.5", {"host": "127.0.0.1:8700"}),
        ("127.0.0.1", {"host": "attacker.example:8700"}),
        ("127.0.0.1", {"host": "127.0.0.1:8700", "origin": "https://attacker.example"}),
        ("127.0.0.1", {"host": "127.0.0.1:8700", "origin": "null"}),
        ("127.0.0.1", {"host": "127.0.0.1:8700", "x-forwarded-for": "8.8.8.8"}),
    ],
)
async def test_nobody_else_comes_in_by_the_loopback(ring, address, headers):
    assert refused(Gatekeeper(ring, open_loopback=True), request(client=address, headers=headers)) == "missing_key"


async def test_the_open_loopback_overlooks_keys_of_other_apis(keys, ring):
    gatekeeper = Gatekeeper(ring, open_loopback=True)
    local = {"host": "localhost"}
    assert gatekeeper.who_is(request(headers={**bearer("sk-any"), **local})) == LOOPBACK_CALLER
    assert refused(gatekeeper, request(headers={**bearer("dsk_unknown"), **local})) == "bad_key"
    assert refused(gatekeeper, request(headers=bearer("sk-any"), client="192.168.1.5")) == "bad_key"
    keys.make()
    await ring.refresh()
    assert refused(gatekeeper, request(headers={**bearer("sk-any"), **local})) == "bad_key"


async def test_the_loopback_shuts_once_a_key_was_made(keys, ring):
    keys.make()
    await ring.refresh()
    refused(Gatekeeper(ring, open_loopback=True), request(headers={"host": "localhost"}))


async def test_the_loopback_stays_shut_when_all_keys_were_revoked_before_the_start(keys):
    keys.made = True
    ring = KeyRing(keys)
    await ring.open()
    refused(Gatekeeper(ring, open_loopback=True), request(headers={"host": "localhost"}))
    await ring.close()


async def test_use_is_noted_once_a_batch_and_kept_while_the_ledger_is_away(keys, ring):
    made = keys.make()
    await ring.refresh()
    for _ in range(5):
        ring.find(made.secret)
    keys.away = True
    await ring._note_use()
    assert keys.used == []
    keys.away = False
    await ring.close()
    assert keys.used == [made.id]


async def test_an_unexpected_error_does_not_end_the_noting_of_uses(keys, ring, monkeypatch):
    made = keys.make()
    await ring.refresh()
    faults = []
    end = subscribe(Fault, faults.append)
    with monkeypatch.context() as patch:
        patch.setattr(keys, "touch", None)
        ring.find(made.secret)
        await ring._note_use()
    end()
    assert [fault.where for fault in faults] == ["gateway.keyring"]
    ring.find(made.secret)
    await ring._note_use()
    assert keys.used == [made.id]


@pytest.mark.parametrize(
    ("held", "reaches"),
    [
        (["admin"], {"admin", "submit", "read"}),
        (["submit"], {"submit", "read"}),
        (["read"], {"read"}),
        (["read", "admin"], {"admin", "submit", "read"}),
        ([], set()),
        (["later"], set()),
    ],
)
def test_a_scope_includes_the_lower_ones(held, reaches):
    caller = Caller("acme", frozenset(held))
    for scope in ("read", "submit", "admin"):
        if scope in reaches:
            require(caller, scope)
        else:
            with pytest.raises(HttpError) as caught:
                require(caller, scope)
            assert caught.value.status == 403
