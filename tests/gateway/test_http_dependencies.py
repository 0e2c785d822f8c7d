"""What is said when the house is full, or when a dependency is away."""

import asyncio
from types import SimpleNamespace

import msgspec
import pytest
from requests_by_hand import request

from dayshift.domain.errors import Conflict, DayshiftError, LedgerAway, PlaneAway, PlaneNotReady, WrongUse
from dayshift.domain.events import Fault
from dayshift.domain.settings import Settings
from dayshift.gateway import tasks as gateway_tasks
from dayshift.gateway.connections import Connections
from dayshift.gateway.door import Door
from dayshift.gateway.drain import Drain
from dayshift.gateway.probes import Probes
from dayshift.gateway.routes import Route, Routes
from dayshift.telemetry import subscribe


async def test_a_queue_that_is_full_says_so_and_a_replay_is_not_refused(own_house, echo):
    http = own_house.client()
    await http.put("/v1/settings/queues.default.max_depth", json={"value": 1})
    kept = await http.post("/v1/tasks", json=echo, headers={"idempotency-key": "k"})
    assert kept.status_code == 202
    await own_house.ledger.tasks.measure_depths()
    async with asyncio.timeout(5):
        while (refused := await http.post("/v1/tasks", json=echo)).status_code == 202:
            await own_house.ledger.tasks.measure_depths()
            await asyncio.sleep(0.05)
    assert (refused.status_code, refused.json()["code"]) == (429, "queue_full")
    assert int(refused.headers["retry-after"]) >= 1
    assert refused.json()["retry_after"] > 0
    assert refused.headers["ratelimit"].startswith('"queue_full";r=0;t=')
    assert refused.headers["ratelimit-policy"] == '"queue_full";q=1'
    again = await http.post("/v1/tasks", json=echo, headers={"idempotency-key": "k"})
    assert (again.status_code, again.json()["id"]) == (202, kept.json()["id"])


async def test_a_wait_that_loses_the_ledger_answers_what_was_accepted(own_house, echo, monkeypatch):
    http = own_house.client()

    async def away(*_arguments, **_named):
        raise LedgerAway("PostgreSQL does not answer")

    async def in_vain(*_arguments, **_named):
        return None

    for name, call, owner in (("wait", away, own_house.services.waiters), ("get", away, own_house.ledger.tasks)):
        with monkeypatch.context() as patch:
            patch.setattr(own_house.services.waiters, "wait", in_vain)
            patch.setattr(owner, name, call)
            accepted = await http.post("/v1/tasks", json=echo, headers={"prefer": "wait=5"})
        assert (accepted.status_code, accepted.json()["status"]) == (202, "queued")
        with monkeypatch.context() as patch:
            patch.setattr(own_house.services.waiters, "wait", away)
            looked_at = await http.get(f"{accepted.headers['location']}?wait=5")
        assert (looked_at.status_code, looked_at.json()["status"]) == (200, "queued")


async def test_a_wait_is_not_drawn_out_by_a_ledger_that_hangs(own_house, echo, monkeypatch):
    http = own_house.client()

    async def hangs(*_arguments, **_named):
        await asyncio.Event().wait()

    monkeypatch.setattr(gateway_tasks, "LAST_LOOK_SECONDS", 0.05)
    monkeypatch.setattr(own_house.ledger.tasks, "get_many", hangs)
    async with asyncio.timeout(10):
        accepted = await http.post("/v1/tasks", json=echo, headers={"prefer": "wait=1"})
    assert (accepted.status_code, accepted.json()["status"]) == (202, "queued")


class Ledger:
    """A ledger that is away, or whose schema is of another release."""

    def __init__(self, state=None):
        self.state = state

    async def schema_state(self):
        if self.state is None:
            raise LedgerAway("PostgreSQL does not answer")
        return self.state


class Plane:
    async def state(self):
        raise PlaneAway("Valkey does not answer")


@pytest.mark.parametrize(
    ("schema", "phase", "status", "said"),
    [
        (None, "serving", 200, "ready"),
        ("current", "serving", 200, "ready"),
        ("ahead", "serving", 200, "ready"),
        ("behind", "serving", 503, "wrong_schema"),
        ("too_new", "serving", 503, "wrong_schema"),
        ("current", "starting", 503, "starting"),
        ("behind", "draining", 503, "draining"),
    ],
)
async def test_only_the_gateways_own_state_makes_it_unready(schema, phase, status, said):
    drain = Drain()
    drain.phase = phase
    answer = await Probes(SimpleNamespace(ledger=Ledger(schema), plane=Plane()), drain).readyz(request())
    body = msgspec.json.decode(answer.body)
    assert (answer.status, body["status"]) == (status, said)
    assert body["dependencies"] == {"postgresql": "away" if schema is None else "ok", "valkey": "away"}


@pytest.mark.parametrize(
    ("error", "status", "code"),
    [
        (LedgerAway("PostgreSQL does not answer", retry_after_seconds=2.5), 503, "ledger_away"),
        (PlaneNotReady("Valkey is being rebuilt"), 503, "plane_not_ready"),
        (Conflict("it is running", code="not_finished"), 409, "not_finished"),
        (WrongUse("no"), 422, "wrong_use"),
        (DayshiftError("?"), 500, "error"),
        (RuntimeError("secret"), 500, "internal_error"),
    ],
)
async def test_every_error_becomes_a_problem_of_its_status(error, status, code):
    faults = []
    end = subscribe(Fault, faults.append)
    messages = []

    async def failing(_request):
        raise error

    async def send(message):
        messages.append(message)

    route = Route(method="POST", path="/v1/tasks", handler=failing, scope=None, summary="", answers={})
    asked = request()
    await Door(Routes([route]), None, Drain(), Connections(Settings, 100))(asked.scope, asked.receive, send)
    end()
    problem = msgspec.json.decode(messages[1]["body"])
    headers = dict(messages[0]["headers"])
    assert (messages[0]["status"], problem["status"], problem["code"]) == (status, status, code)
    assert headers[b"content-type"] == b"application/problem+json"
    assert (b"retry-after" in headers) == (status == 503)
    assert "secret" not in problem["detail"]
    assert [fault.error_type for fault in faults] == (["RuntimeError"] if code == "internal_error" else [])
