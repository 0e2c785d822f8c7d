"""The pipeline's decisions, one by one. Limits and breakers are played here; they have their own tests, over a real plane."""

import asyncio
from collections import defaultdict

import httpx2
import msgspec
import pytest

from dayshift.domain import clock
from dayshift.domain.budget import Spender
from dayshift.domain.effect import CallUsage
from dayshift.domain.errors import WrongUse
from dayshift.domain.provider_settings import ProviderLimits
from dayshift.domain.settings import Settings
from dayshift.llm.asking import Caller
from dayshift.llm.breakers import Open, Permit
from dayshift.llm.budgets import Budgets
from dayshift.llm.cache import AnswerCache
from dayshift.llm.exchange import Incoming, LlmCall, NoAnswer, Opening
from dayshift.llm.formats import CHAT, RESPONSES
from dayshift.llm.limits import LimitBusy
from dayshift.llm.looking_again import LookingAgain
from dayshift.llm.pipeline import Line
from dayshift.llm.prices import Prices
from dayshift.llm.providers import first_providers
from dayshift.llm.request import question_of
from dayshift.llm.routing import Router
from dayshift.llm.shared import Shared

ONE, TWO = "http://one.test/v1", "http://two.test/v1"
JSON = [("content-type", "application/json")]
ANSWER = {
    "id": "x",
    "object": "chat.completion",
    "model": "large",
    "choices": [{"index": 0, "finish_reason": "stop", "message": {"role": "assistant", "content": "hello"}}],
    "usage": {"prompt_tokens": 12, "completion_tokens": 3, "total_tokens": 15},
}
TARGETS = {
    "providers": {
        "one": {"format": "openai", "base_url": ONE, "api_key": "${env:ONE}"},
        "two": {"format": "openai", "base_url": TWO, "api_key": "${env:TWO}"},
    },
    "models": {"smart": {"targets": ["one/large", "two/small"]}},
}


def settings(**model):
    told = {**TARGETS, "models": {"smart": {**TARGETS["models"]["smart"], **model}}}
    return msgspec.convert(told, Settings)


def limited(**model):
    told = settings(**model)
    limits = ProviderLimits(requests_per_minute=600)
    one = msgspec.structs.replace(told.providers["one"], limits=limits)
    return msgspec.structs.replace(told, providers={**told.providers, "one": one})


def ok(body=None):
    return Incoming(status=200, headers=list(JSON), body=msgspec.json.encode(body or ANSWER))


def refusal(status, headers=(), **error):
    body = {"error": {"message": "no", "type": "x", "code": None, **error}}
    return Incoming(status=status, headers=[*JSON, *headers], body=msgspec.json.encode(body))


def streamed(*events):
    opening = Opening(CHAT)
    for event in events:
        opening.feed(b"data: " + (event if isinstance(event, bytes) else msgspec.json.encode(event)) + b"\n\n")
    return Incoming(status=200, headers=[("content-type", "text/event-stream")], opening=opening, is_over=True)


class Reservation:
    def __init__(self, credential):
        self.credential, self.waited_seconds, self.told = credential, 0.0, []

    def settle(self, *, input_tokens, output_tokens):
        self.told.append((input_tokens, output_tokens))

    def give_back(self):
        self.told.append("given back")

    def refused(self, *, retry_after_seconds, headers):
        self.told.append(("refused", retry_after_seconds))

    def heard(self, headers):
        pass


class Limiter:
    """Grants at once, but for providers that are `busy`; waits for ever where `is_stuck`."""

    def __init__(self):
        self.asks, self.reservations, self.busy, self.is_stuck = [], [], set(), False

    async def reserve(self, ask):
        self.asks.append(ask)
        if self.is_stuck and ask.provider == "one":
            await asyncio.Event().wait()
        if ask.provider in self.busy and ask.max_wait_seconds is not None:
            raise LimitBusy(ask.provider, 9.0)
        self.reservations.append(Reservation(ask.credentials[0]))
        return self.reservations[-1]


class Breakers:
    def __init__(self):
        self.closed_to, self.settled, self.futures = set(), [], defaultdict(list)

    def look(self, provider, model, rule):
        return Open(7.0) if provider in self.closed_to else None

    async def permit(self, provider, model, rule):
        return self.look(provider, model, rule) or Permit(lambda failed: self.settled.append((provider, failed)))

    def opened(self, provider, model):
        self.futures[provider].append(asyncio.get_running_loop().create_future())
        return self.futures[provider][-1]

    def open(self, provider):
        self.closed_to.add(provider)
        for future in self.futures[provider]:
            future.set_result(None)


class Retries:
    may = True

    def called(self, provider):
        pass

    async def may_retry(self, provider):
        return self.may


class Kept:
    """The plane, as far as it keeps answers, and knows who is parked."""

    def __init__(self):
        self.answers = {}

    async def count_parked(self, provider):
        return 1

    async def keep_answer(self, name, value, seconds):
        self.answers[name] = value

    async def kept_answer(self, name):
        return self.answers.get(name)


class House:
    """A pipeline, and providers that answer what they are told to, in turn; the last one again and again."""

    def __init__(self, monkeypatch, told=None):
        monkeypatch.setattr("dayshift.llm.one_target.BACKOFF_BASE_SECONDS", 0.0)
        self.settings = told or settings()
        self.limiter, self.breakers, self.retries, self.kept = Limiter(), Breakers(), Retries(), Kept()
        self.answers, self.sent, self.waits = {"one": [ok()], "two": [ok()]}, [], []
        self.pipeline = Shared(
            settings=lambda: self.settings,
            router=Router(first_providers(openai_base_url=None, anthropic_base_url=None), lambda name: f"sk-{name}"),
            limiter=self.limiter,
            breakers=self.breakers,
            retries=self.retries,
            cache=AnswerCache(self.kept),
            looking_again=LookingAgain(self.kept),
            prices=Prices(),
            budgets=Budgets(None, None, lambda: self.settings),
        )
        self.line = Line(
            self.pipeline,
            Caller(
                task_id="task_1",
                agent="a",
                tenant="t",
                user=None,
                conversation=None,
                priority=5,
                deadline_mono=clock.monotonic_seconds() + 60,
                spender=Spender(tenant="t", agent="a", task_id="task_1"),
                wait_for_provider=self.wait,
            ),
        )

    async def ask(self, api=CHAT, headers=None, broken=None, **fields):
        body = msgspec.json.encode({"model": "smart", "messages": [], **fields})
        call = LlmCall(
            provider="openai",
            api=api,
            question=question_of(api, headers or {}, body),
            url=f"https://api.openai.com/v1{api.path}",
            headers=headers or {},
            body=body,
        )
        return await self.line.answer(call, self.send, broken)

    async def send(self, outgoing):
        name = "two" if (outgoing.url or "").startswith(TWO) else "one"
        self.sent.append((name, outgoing))
        answers = self.answers[name]
        answer = answers.pop(0) if len(answers) > 1 else answers[0]
        if isinstance(answer, Exception):
            raise answer
        if callable(answer):
            return await answer()
        return msgspec.structs.replace(answer, headers=list(answer.headers))

    async def wait(self, provider, seconds, message):
        self.waits.append((provider, seconds, message))

    @property
    def asked(self):
        return [name for name, _ in self.sent]


@pytest.fixture
def house(monkeypatch):
    return House(monkeypatch)


def headers_of(reply):
    return dict(reply.incoming.headers)


async def test_a_call_goes_to_the_first_target_with_its_key_and_its_model(house):
    reply = await house.ask()
    [(name, outgoing)] = house.sent
    assert (name, outgoing.url) == ("one", f"{ONE}/chat/completions")
    assert outgoing.headers["authorization"] == "Bearer sk-ONE"
    assert msgspec.json.decode(outgoing.body)["model"] == "large"
    assert headers_of(reply)["dayshift-target"] == "one/large"
    assert headers_of(reply)["dayshift-attempts"] == "1"
    assert house.limiter.reservations[0].told == [(12, 3)]
    assert house.breakers.settled == [("one", False)]
    assert reply.priced(CallUsage(llm_calls=1)).provider == "one"


async def test_a_failure_is_tried_again_here_and_then_elsewhere(house):
    house.answers["one"] = [refusal(500)]
    reply = await house.ask()
    assert house.asked == ["one", "one", "one", "two"]
    assert reply.incoming.status == 200
    told = headers_of(reply)
    assert (told["dayshift-target"], told["dayshift-attempts"], told["dayshift-degraded"]) == (
        "two/small",
        "4",
        "fallback",
    )
    assert house.breakers.settled == [("one", True)] * 3 + [("two", False)]


async def test_without_retries_left_the_next_target_is_asked_at_once(house):
    house.answers["one"], house.retries.may = [refusal(500)], False
    await house.ask()
    assert house.asked == ["one", "two"]


async def test_a_provider_that_wants_to_be_left_alone_is_left_for_the_next(house):
    house.answers["one"] = [refusal(503, [("retry-after", "120")])]
    assert (await house.ask()).incoming.status == 200
    assert house.asked == ["one", "two"]


async def test_a_stream_of_another_content_type_is_no_stream(house):
    page = msgspec.structs.replace(streamed(TOKEN), headers=[("content-type", "text/plain")])
    house.answers["one"] = [page]
    reply = await house.ask(stream=True)
    assert (house.asked[-1], reply.incoming.status) == ("two", 200)


async def test_what_is_refused_everywhere_is_handed_on(house):
    house.answers["one"] = [refusal(400, code="invalid")]
    reply = await house.ask()
    assert house.asked == ["one"]
    assert (reply.incoming.status, headers_of(reply)["x-should-retry"]) == (400, "false")
    assert house.breakers.settled == [("one", None)]


async def test_a_key_that_is_no_good_here_may_not_be_needed_elsewhere(house):
    house.answers["one"] = [refusal(401)]
    assert (await house.ask()).incoming.status == 200
    assert house.asked == ["one", "two"]


async def test_without_a_next_target_the_refusal_is_the_answer(monkeypatch):
    house = House(monkeypatch, settings(targets=["one/large"]))
    house.answers["one"] = [refusal(401)]
    assert (await house.ask()).incoming.status == 401


async def test_a_429_waits_for_its_turn_again(monkeypatch):
    """Where the limits are known, the limiter waits."""
    house = House(monkeypatch, limited(targets=["one/large"]))
    house.answers["one"] = [refusal(429, [("retry-after", "2")]), ok()]
    assert (await house.ask()).incoming.status == 200
    assert [one.told for one in house.limiter.reservations] == [[("refused", 2.0)], [(12, 3)]]
    assert [ask.max_wait_seconds for ask in house.limiter.asks] == [None, None]
    assert house.breakers.settled == [("one", None), ("one", False)]


async def test_a_429_of_a_provider_whose_limits_nobody_told_is_waited_for_longer_each_time(monkeypatch):
    house = House(monkeypatch, settings(targets=["one/large"]))
    house.answers["one"] = [refusal(429, [("retry-after", "2")]), refusal(429), refusal(429), ok()]
    slept = []

    async def sleep(seconds):
        slept.append(seconds)

    monkeypatch.setattr("dayshift.llm.one_target.asyncio.sleep", sleep)
    monkeypatch.setattr("dayshift.llm.one_target.full_jitter", lambda _base, cap, refusals: min(cap, float(refusals)))
    assert (await house.ask()).incoming.status == 200
    assert slept == [2.0, 2.0, 3.0]


async def test_a_429_goes_on_to_the_next_target_where_that_is_sooner(house, monkeypatch):
    house.answers["one"] = [refusal(429, [("retry-after", "20")])]
    assert (await house.ask()).incoming.status == 200
    assert house.asked == ["one", "two"]


async def test_a_limit_that_is_used_for_long_sends_on_to_the_next_target(house):
    house.limiter.busy.add("one")
    reply = await house.ask()
    assert house.asked == ["two"]
    assert [ask.max_wait_seconds for ask in house.limiter.asks] == [2.0, None]
    assert headers_of(reply)["dayshift-degraded"] == "fallback"


async def test_nobody_queues_for_what_is_away(house):
    house.breakers.closed_to.add("one")
    await house.ask()
    assert (house.asked, [ask.provider for ask in house.limiter.asks]) == (["two"], ["two"])


async def test_a_breaker_that_opens_sends_on_those_who_wait(house):
    house.limiter.is_stuck = True
    asking = asyncio.create_task(house.ask())
    while not house.limiter.asks:
        await asyncio.sleep(0)
    house.breakers.open("one")
    assert (await asking).incoming.status == 200
    assert house.asked == ["two"]


async def test_when_nobody_answers_the_error_is_in_the_providers_words(house):
    house.breakers.closed_to |= {"one", "two"}
    reply = await house.ask()
    assert (reply.incoming.status, headers_of(reply)["x-should-retry"]) == (503, "false")
    message = msgspec.json.decode(reply.incoming.body)["error"]["message"]
    assert "one/large: its breaker is open" in message
    assert "two/small: its breaker is open" in message
    assert house.sent == []


async def test_the_last_error_of_a_provider_is_handed_on_with_all_its_words(house):
    house.answers["one"] = house.answers["two"] = [refusal(500, message="its own words")]
    reply = await house.ask()
    assert reply.incoming.status == 500
    assert b"its own words" in reply.incoming.body
    assert headers_of(reply)["x-should-retry"] == "false"


async def test_a_page_of_a_proxy_is_no_error_of_the_provider(house):
    page = Incoming(status=502, headers=[("content-type", "text/html")], body=b"<html>bad gateway</html>")
    house.answers["one"] = house.answers["two"] = [page]
    reply = await house.ask()
    assert reply.incoming.status == 503
    assert "error" in msgspec.json.decode(reply.incoming.body)


async def test_a_call_that_was_never_sent_costs_nothing_of_the_limit(house):
    house.answers["one"] = [NoAnswer(httpx2.ConnectError("refused"))]
    await house.ask()
    assert [one.told for one in house.limiter.reservations] == [["given back"]] * 3 + [[(12, 3)]]
    assert house.breakers.settled[:3] == [("one", True)] * 3


async def test_a_call_parks_until_its_provider_is_back(monkeypatch):
    house = House(monkeypatch, settings(when_unavailable=["fallback", "park"]))
    house.breakers.closed_to |= {"one", "two"}

    async def wait(provider, seconds, message):
        house.waits.append((provider, seconds))
        house.breakers.closed_to.clear()

    house.line._caller = msgspec.structs.replace(house.line._caller, wait_for_provider=wait)
    reply = await house.ask()
    [(provider, seconds)] = house.waits
    assert provider == "one"
    assert 7.0 <= seconds <= 37.0
    assert (house.asked, reply.incoming.status) == (["one"], 200)


async def test_a_caller_who_leaves_amid_a_call_keeps_neither_slot_nor_permit(house):
    never = asyncio.Event()
    house.answers["one"] = [never.wait]
    asking = asyncio.create_task(house.ask())
    while not house.sent:
        await asyncio.sleep(0)
    asking.cancel()
    with pytest.raises(asyncio.CancelledError):
        await asking
    assert house.limiter.reservations[0].told == [(None, None)]
    assert house.breakers.settled == [("one", None)]


ROLE = {"object": "chat.completion.chunk", "choices": [{"index": 0, "delta": {"role": "assistant", "content": ""}}]}
TOKEN = {"object": "chat.completion.chunk", "choices": [{"index": 0, "delta": {"content": "hi"}}]}


async def test_a_stream_that_fails_before_its_first_token_is_asked_for_elsewhere(house):
    house.answers["one"] = [
        streamed(ROLE, {"error": {"message": "overloaded", "type": "server_error"}}),
        streamed(ROLE),
    ]
    house.answers["two"] = [streamed(ROLE, TOKEN)]
    reply = await house.ask(stream=True)
    assert house.asked == ["one", "one", "one", "two"]
    assert reply.incoming.opening.is_good


@pytest.mark.parametrize("is_broken", [False, True])
async def test_a_streams_end_settles_its_call_once(house, is_broken):
    house.answers["one"] = [streamed(ROLE, TOKEN)]
    reply = await house.ask(stream=True)
    assert house.limiter.reservations[0].told == []
    usage = CallUsage(llm_calls=1, input_tokens=5, output_tokens=6)
    (reply.broke_off if is_broken else reply.ended)(usage)
    reply.ended(None)
    assert house.limiter.reservations[0].told == [(5, 6)]
    assert house.breakers.settled == [("one", is_broken)]


async def test_a_stream_that_its_attempt_leaves_behind_is_settled_with_it(house):
    house.answers["one"] = [streamed(ROLE, TOKEN)]
    await house.ask(stream=True)
    house.line.close()
    assert house.limiter.reservations[0].told == [(None, None)]


async def test_what_a_provider_keeps_is_asked_for_nowhere_else(house):
    house.answers["one"] = [refusal(500)]
    reply = await house.ask(RESPONSES, input="more", previous_response_id="resp_1")
    assert (set(house.asked), reply.incoming.status) == ({"one"}, 500)


async def test_a_model_that_no_setting_names_goes_where_the_code_called(house):
    reply = await house.ask(model="gpt-5")
    [(_, outgoing)] = house.sent
    assert (outgoing.url, outgoing.body, dict(outgoing.headers)) == (None, None, {})
    assert headers_of(reply)["dayshift-target"] == "openai/gpt-5"


async def test_targets_of_another_format_are_no_targets(monkeypatch):
    house = House(monkeypatch, settings(targets=["anthropic/claude"]))
    with pytest.raises(WrongUse, match="speaks anthropic's formats"):
        await house.ask()


async def test_an_equal_call_is_given_the_answer_that_is_kept(monkeypatch):
    house = House(monkeypatch, settings(cache={"ttl": 60}))
    first, second = await house.ask(temperature=0), await house.ask(temperature=0)
    assert house.asked == ["one"]
    assert second.incoming.body == first.incoming.body
    assert headers_of(second)["dayshift-cached"] == "hit"
    free = second.priced(CallUsage(llm_calls=1, input_tokens=12, output_tokens=3))
    assert (free.tokens, free.told_usd) == (0, 0.0)


@pytest.mark.parametrize(
    ("headers", "fields", "is_kept"),
    [
        ({}, {}, False),
        ({}, {"temperature": 0.7}, False),
        ({"dayshift-cache": "yes"}, {"temperature": 0.7}, True),
        ({"dayshift-cache": "no"}, {"temperature": 0}, False),
    ],
)
async def test_only_what_is_asked_for_in_the_same_way_each_time_is_kept(monkeypatch, headers, fields, is_kept):
    house = House(monkeypatch, settings(cache={"ttl": 60}))
    for _ in range(2):
        await house.ask(headers=headers, **fields)
    assert len(house.sent) == (1 if is_kept else 2)
    assert all("dayshift-cache" not in headers or out.headers["dayshift-cache"] is None for _, out in house.sent)


async def test_of_equal_calls_at_once_one_is_made(monkeypatch):
    house = House(monkeypatch, settings(cache={"ttl": 60}))
    replies = await asyncio.gather(*(house.ask(temperature=0) for _ in range(5)))
    assert house.asked == ["one"]
    assert sum("dayshift-cached" in headers_of(reply) for reply in replies) == 4


async def test_when_the_one_fails_another_is_made(monkeypatch):
    house = House(monkeypatch, settings(cache={"ttl": 60}))
    house.answers["one"] = [refusal(400), ok()]
    replies = await asyncio.gather(*(house.ask(temperature=0) for _ in range(3)))
    assert [reply.incoming.status for reply in replies] == [400, 200, 200]
    assert house.asked == ["one", "one"]


async def test_a_stream_is_kept_when_it_has_come_to_its_end(monkeypatch):
    house = House(monkeypatch, settings(cache={"ttl": 60}))
    house.answers["one"] = [streamed(ROLE, TOKEN)]
    reply = await house.ask(temperature=0, stream=True)
    events = b"".join(event.raw for event in reply.incoming.opening.events) + b"data: [DONE]\n\n"
    reply.whole([("content-type", "text/event-stream")], events)
    while not house.kept.answers:
        await asyncio.sleep(0)
    again = await house.ask(temperature=0, stream=True)
    assert house.asked == ["one"]
    assert b"".join(event.raw for event in again.incoming.opening.events) == events
    assert again.incoming.is_over


async def test_a_tenants_answers_are_its_own_unless_they_are_shared(monkeypatch):
    for shared in (False, True):
        house = House(monkeypatch, settings(cache={"ttl": 60, "shared": shared}))
        await house.ask(temperature=0)
        house.line._caller = msgspec.structs.replace(house.line._caller, tenant="another")
        await house.ask(temperature=0)
        assert len(house.sent) == (1 if shared else 2)


async def test_an_old_answer_is_given_only_when_nobody_is_there_and_is_marked(monkeypatch):
    house = House(monkeypatch, settings(cache={"ttl": 0.001}, when_unavailable=["fallback", "cached", "fail"]))
    await house.ask(temperature=0)
    await asyncio.sleep(0.01)
    await house.ask(temperature=0)
    assert house.asked == ["one", "one"]
    house.breakers.closed_to |= {"one", "two"}
    await asyncio.sleep(0.01)
    for _ in range(3):  # and does not become a fresh one by being given
        told = (await house.ask(temperature=0)).incoming.headers
        assert [
            header for header in told if header[0] in ("dayshift-cached", "dayshift-degraded", "dayshift-attempts")
        ] == [
            ("dayshift-cached", "stale"),
            ("dayshift-degraded", "cached"),
        ]
    assert (await house.ask(temperature=0.5)).incoming.status == 503


async def test_a_broken_stream_begins_anew_elsewhere_where_the_settings_say_so(monkeypatch):
    house = House(monkeypatch, settings(on_broken_stream="restart"))
    house.answers = {name: [streamed(ROLE, TOKEN)] for name in ("one", "two")}
    first = await house.ask(stream=True)
    second = await house.ask(stream=True, broken=first)
    third = await house.ask(stream=True, broken=second)
    assert house.asked == ["one", "two", "one"]
    assert [reply.may_restart for reply in (first, second, third)] == [True, True, False]


async def test_by_default_a_broken_stream_is_the_callers(house):
    house.answers["one"] = [streamed(ROLE, TOKEN)]
    assert not (await house.ask(stream=True)).may_restart


async def test_what_may_have_added_to_a_conversation_is_not_asked_again(house):
    """Unless it was refused, or never left."""
    house.answers["one"] = [refusal(500)]
    reply = await house.ask(RESPONSES, input="more", conversation="conv_1")
    assert (house.asked, reply.incoming.status) == (["one"], 500)
    house.answers["one"] = [refusal(429), NoAnswer(httpx2.ConnectError("refused")), ok()]
    assert (await house.ask(RESPONSES, input="more", conversation="conv_2")).incoming.status in {200, 503}
    assert house.asked == ["one"] * 4


async def test_without_another_target_a_moment_of_an_open_breaker_is_waited_out(monkeypatch):
    house = House(monkeypatch, settings(targets=["one/large"]))
    monkeypatch.setattr("dayshift.llm.one_target.SHORT_SECONDS", 10.0)
    slept = []

    async def sleep(seconds):
        slept.append(seconds)
        house.breakers.closed_to.clear()

    house.breakers.closed_to.add("one")
    monkeypatch.setattr("dayshift.llm.one_target.asyncio.sleep", sleep)
    assert (await house.ask()).incoming.status == 200
    assert slept == [7.0]
