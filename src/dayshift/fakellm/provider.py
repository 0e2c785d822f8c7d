"""What happens to a call: read, count, let in by its limits, look into the script, answer at the time that the pace gives."""

import hashlib
import random
from typing import Any

import msgspec

from dayshift.fakellm import idents
from dayshift.fakellm.admin import answer_admin
from dayshift.fakellm.answer import Answer, make_answer
from dayshift.fakellm.exchange import Reply, Request, json_reply
from dayshift.fakellm.faults import spoil
from dayshift.fakellm.formats import BY_PATH, OPENAI_CHAT, Format
from dayshift.fakellm.limit_headers import retry_headers
from dayshift.fakellm.limits import Account, Limits, Refusal
from dayshift.fakellm.meter import Admission, Meter, headers_of
from dayshift.fakellm.models import answer_models
from dayshift.fakellm.pace import Moments, Pace, plan_moments
from dayshift.fakellm.prompt import CallError, Prompt
from dayshift.fakellm.refusals import anthropic_refusal, openai_refusal
from dayshift.fakellm.script import ActiveRule, Rule, Script, ScriptFile
from dayshift.fakellm.tally import OpenCall, Tally
from dayshift.fakellm.tokens import CHARACTERS_PER_TOKEN

_decode = msgspec.json.Decoder().decode
_NO_RULE = Rule()
NO_LIMITS = Limits()


class Defaults(msgspec.Struct, frozen=True):
    """What the flags say; a script's own defaults and its rules go before."""

    latency: Pace
    first_token_latency: Pace | None = None
    tokens_per_second: float | None = None
    answer: str | None = None
    latency_per_open_call: float | None = None


class Provider:
    """Answers requests; holds the script and the tally."""

    def __init__(
        self, defaults: Defaults, script: Script, limits: Limits = NO_LIMITS, *, seed: int | None = None
    ) -> None:
        self.script = script
        self.faults = Script(ScriptFile())
        self.tally = Tally()
        self.meter = Meter(limits)
        self._defaults = defaults
        self._dice = random.Random(seed)  # noqa: S311 - latencies, no secrets

    def receive(self, request: Request) -> Reply:
        """The reply to any request."""
        dialect = BY_PATH.get(request.path)
        if dialect is not None and request.method == "POST":
            return self._receive_call(dialect, request)
        if request.path.startswith("/_fake/"):
            return answer_admin(self, request)
        if request.path.startswith("/v1/models") and request.method == "GET":
            return answer_models(request)
        nearest = dialect or next((BY_PATH[path] for path in BY_PATH if request.path.startswith(path)), OPENAI_CHAT)
        status = 404 if dialect is None else 405
        return _error(nearest, status, f"Invalid URL ({request.method} {request.path})")

    def restart(self) -> None:
        """Count from zero, also the uses of each rule; calls that are open end in the old count."""
        self.tally = Tally()
        self.meter.restart()
        self.script.restart()
        self.faults.restart()

    def _receive_call(self, dialect: Format, request: Request) -> Reply:
        try:
            body = _decode(request.body)
        except (msgspec.DecodeError, UnicodeDecodeError):
            call = self.tally.open_call(request.path, request.body.decode(errors="replace"), "")
            return _error(dialect, 400, "We could not parse the JSON body of your request.", call=call)
        if not isinstance(body, dict):
            call = self.tally.open_call(request.path, body, "")
            return _error(dialect, 400, "The body of a call is a JSON object.", call=call)
        try:
            prompt = dialect.read(body)
        except CallError as problem:
            call = self.tally.open_call(request.path, body, "")
            return _error(dialect, 400, problem.message, param=problem.param, call=call)
        call = self.tally.open_call(request.path, body, prompt.last_message)
        account, outcome = self.meter.admit(dialect.family, request.headers, prompt)
        if isinstance(outcome, Refusal):
            return _limit_reached(dialect, prompt, account, outcome, call)
        reply = self._answer_call(dialect, prompt, call, outcome)
        reply.admission = outcome
        reply.headers.update(outcome.headers())
        return reply

    def _answer_call(self, dialect: Format, prompt: Prompt, call: OpenCall, admission: Admission) -> Reply:
        active = self.faults.take(prompt, self._dice) or self.script.take(prompt, self._dice)
        rule = active.rule if active else _NO_RULE
        if rule.status is not None:
            return self._scripted_error(dialect, active, rule, call)
        answer = self._answer(prompt, rule)
        admission.output_tokens = answer.output_tokens
        moments = self._moments(active, rule, answer.output_tokens)
        headers = {dialect.request_id_header: idents.request_id()}
        if prompt.stream and (frames := dialect.frames) is not None:
            reply = Reply(200, make_frames=lambda: frames(answer, prompt), moments=moments)
        else:
            body = msgspec.json.encode(dialect.whole(answer, prompt))
            reply = Reply(200, body, moments=Moments(moments.last_seconds, moments.last_seconds))
        reply.headers, reply.call = headers, call
        if rule.fault is not None:
            after, size = rule.fault_after_tokens, rule.fault_body_bytes
            spoil(reply, rule.fault, dialect, after_tokens=after, body_bytes=size)
        return reply

    def _answer(self, prompt: Prompt, rule: Rule) -> Answer:
        if not prompt.has_output:
            return Answer(prompt.model, "", [], prompt.count_tokens(), 0, "stop")
        return make_answer(
            model=prompt.model,
            text=self._text(prompt, rule),
            tool_calls=rule.tool_calls,
            prompt_tokens=prompt.count_tokens(),
            output_tokens=rule.output_tokens,
            max_tokens=prompt.max_tokens,
        )

    def _text(self, prompt: Prompt, rule: Rule) -> str:
        if rule.answer is not None:
            return rule.answer
        if rule.tool_calls:
            return ""
        if rule.output_tokens is not None:
            return filler_text(prompt, rule.output_tokens)
        text = self.script.answer if self.script.answer is not None else self._defaults.answer
        return text if text is not None else default_text(prompt)

    def _moments(self, active: ActiveRule | None, rule: Rule, output_tokens: int) -> Moments:
        latency = (active and active.latency) or self.script.latency or self._defaults.latency
        first = (
            (active and active.first_token_latency)
            or self.script.first_token_latency
            or self._defaults.first_token_latency
        )
        return plan_moments(
            latency_seconds=latency.draw(self._dice) + self._seconds_of_load(),
            first_token_seconds=first.draw(self._dice) if first else None,
            tokens_per_second=(
                rule.tokens_per_second or self.script.tokens_per_second or self._defaults.tokens_per_second
            ),
            output_tokens=output_tokens,
        )

    def _seconds_of_load(self) -> float:
        """What the calls that are open add to the latency of one more."""
        each = self.script.latency_per_open_call or self._defaults.latency_per_open_call
        return each * (self.tally.open_calls - 1) if each else 0.0

    def _scripted_error(self, dialect: Format, active: ActiveRule | None, rule: Rule, call: OpenCall) -> Reply:
        assert rule.status is not None
        reply = _error(dialect, rule.status, rule.error or f"Scripted error {rule.status}.", call=call)
        if rule.retry_after is not None:
            after = rule.retry_after
            reply.headers["retry-after"] = after if isinstance(after, str) else f"{after:.15g}"
        # An error is quick unless its own rule says otherwise: the defaults are the time that thinking takes.
        seconds = active.latency.draw(self._dice) if active and active.latency else 0.0
        reply.moments = Moments(seconds, seconds)
        return reply


def default_text(prompt: Prompt) -> str:
    """A short answer that the prompt alone decides, so that equal calls are answered equally."""
    digest = hashlib.sha256(prompt.whole_text.encode()).hexdigest()[:8]
    return f"Answer {digest} to: {' '.join(prompt.last_message.split())[:60]}"


def filler_text(prompt: Prompt, tokens: int) -> str:
    """A deterministic text of exactly so many tokens."""
    length = tokens * CHARACTERS_PER_TOKEN
    sentence = default_text(prompt) + ". "
    return (sentence * (length // len(sentence) + 1))[:length]


def _limit_reached(dialect: Format, prompt: Prompt, account: Account, refusal: Refusal, call: OpenCall) -> Reply:
    request_id = idents.request_id()
    if dialect.family == "openai":
        status, body = openai_refusal(refusal, prompt.model)
    else:
        status, body = anthropic_refusal(refusal, request_id)
    reply = json_reply(status, body)
    reply.headers = {
        dialect.request_id_header: request_id,
        **headers_of(dialect.family, account),
        **retry_headers(refusal),
    }
    reply.call = call
    return reply


def _error(dialect: Format, status: int, message: str, *, param: str | None = None, call: Any = None) -> Reply:
    request_id = idents.request_id()
    reply = json_reply(status, dialect.error(status, message, param, request_id))
    reply.headers = {dialect.request_id_header: request_id}
    reply.call = call
    return reply
