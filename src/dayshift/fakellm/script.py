"""The script: rules in order, the first that matches a call says what happens to it."""

import random
import re
import tomllib
from pathlib import Path
from typing import Any, Literal

import msgspec

from dayshift.fakellm.answer import ToolCall
from dayshift.fakellm.faults import FaultName
from dayshift.fakellm.pace import Pace, parse_pace
from dayshift.fakellm.prompt import Prompt


class ScriptError(Exception):
    """The script cannot be used; the message says where and why."""


class Rule(msgspec.Struct, forbid_unknown_fields=True):
    """What a call must look like, and what is done with it.

    `match` (a regular expression) or `contains` (plain text) looks at the last user message, or at the whole prompt with
    `where = "prompt"`; with neither, every call fits. `turn` is the number of the answer in its conversation, so that rules
    can tell a whole dialogue with tools, whoever asks it again. `times` uses the rule so often, then falls through to the next;
    `share` uses it for so much of the calls (0.3 is every third or so). `fault` spoils the answer: see `faults.py`.
    """

    match: str | None = None
    contains: str | None = None
    where: Literal["last", "prompt"] = "last"
    model: str | None = None
    turn: int | None = None
    times: int | None = None
    answer: str | None = None
    tool_calls: list[ToolCall] = []
    latency: float | str | None = None
    first_token_latency: float | str | None = None
    tokens_per_second: float | None = None
    output_tokens: int | None = None
    status: int | None = None
    error: str | None = None
    retry_after: float | str | None = None
    fault: FaultName | None = None
    fault_after_tokens: int = 1
    fault_body_bytes: int = 64 * 1024 * 1024
    share: float = 1.0


class ScriptFile(msgspec.Struct, forbid_unknown_fields=True):
    """A script as it is written down: rules, and defaults that go before the flags."""

    rules: list[Rule] = []
    answer: str | None = None
    latency: float | str | None = None
    first_token_latency: float | str | None = None
    tokens_per_second: float | None = None
    latency_per_open_call: float | None = None


class ActiveRule:
    """A rule made ready: its expression compiled, its paces read, its uses counted."""

    def __init__(self, rule: Rule, at: str) -> None:
        self.rule = rule
        self.used = 0
        try:
            self._expression = re.compile(rule.match) if rule.match is not None else None
            self.latency = _pace(rule.latency)
            self.first_token_latency = _pace(rule.first_token_latency)
        except (re.error, ValueError) as problem:
            raise ScriptError(f"{at}: {problem}") from problem
        if rule.status is not None and not 400 <= rule.status <= 599:
            raise ScriptError(f"{at}.status: {rule.status} is no error status; leave it out for an answer")
        _check_positive(
            at,
            tokens_per_second=rule.tokens_per_second,
            times=rule.times,
            turn=rule.turn,
            output_tokens=rule.output_tokens,
            share=rule.share,
        )

    def fits(self, prompt: Prompt) -> bool:
        """Whether this rule is meant for the call, and not used up."""
        rule = self.rule
        if rule.times is not None and self.used >= rule.times:
            return False
        if rule.model not in (None, prompt.model) or rule.turn not in (None, prompt.turn):
            return False
        text = prompt.last_message if rule.where == "last" else prompt.whole_text
        if rule.contains is not None and rule.contains not in text:
            return False
        return self._expression is None or self._expression.search(text) is not None


class Script:
    """Rules and defaults in use."""

    def __init__(self, written: ScriptFile) -> None:
        self._rules = [ActiveRule(rule, f"rules[{at}]") for at, rule in enumerate(written.rules)]
        _check_positive("script", tokens_per_second=written.tokens_per_second)
        try:
            self.latency = _pace(written.latency)
            self.first_token_latency = _pace(written.first_token_latency)
        except ValueError as problem:
            raise ScriptError(str(problem)) from problem
        self.answer = written.answer
        self.latency_per_open_call = written.latency_per_open_call
        self.tokens_per_second = written.tokens_per_second

    def take(self, prompt: Prompt, dice: random.Random) -> ActiveRule | None:
        """The first rule that fits, counted as used; None when the defaults answer."""
        for active in self._rules:
            if active.fits(prompt) and (active.rule.share >= 1 or dice.random() < active.rule.share):
                active.used += 1
                return active
        return None

    def restart(self) -> None:
        """Forget how often each rule was used."""
        for active in self._rules:
            active.used = 0


def read_script(written: Any) -> Script:
    """A script of parsed JSON or TOML: an object with `rules`, or just the list of rules."""
    if isinstance(written, list):
        written = {"rules": written}
    try:
        return Script(msgspec.convert(written, ScriptFile))
    except msgspec.ValidationError as problem:
        raise ScriptError(str(problem)) from problem


def load_script(path: Path) -> Script:
    """A script from a `.json` or `.toml` file."""
    try:
        raw = path.read_bytes()
        written = tomllib.loads(raw.decode()) if path.suffix == ".toml" else msgspec.json.decode(raw)
    except OSError as problem:
        raise ScriptError(f"cannot read {path}: {problem.strerror}") from problem
    except (UnicodeDecodeError, tomllib.TOMLDecodeError, msgspec.DecodeError) as problem:
        raise ScriptError(f"{path} is not {'TOML' if path.suffix == '.toml' else 'JSON'}: {problem}") from problem
    return read_script(written)


def _pace(given: float | str | None) -> Pace | None:
    return None if given is None else parse_pace(given)


def _check_positive(at: str, **values: float | None) -> None:
    for name, value in values.items():
        if value is not None and value <= 0:
            raise ScriptError(f"{at}.{name}: {value} must be above 0")
