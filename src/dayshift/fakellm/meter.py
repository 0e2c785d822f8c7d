"""Between a call and its limits: who calls, what is counted ahead, what is settled and booked at the end."""

import time
from typing import Any, Literal

import msgspec

from dayshift.fakellm.books import Books
from dayshift.fakellm.limit_headers import anthropic_headers, openai_headers
from dayshift.fakellm.limits import ESTIMATED_OUTPUT_TOKENS, Account, Accounts, Kind, Limits, Refusal
from dayshift.fakellm.prompt import Prompt

Family = Literal["openai", "anthropic"]


class Admission(msgspec.Struct):
    """A call that its limits let in, until its end."""

    books: Books
    account: Account
    family: Family
    model: str
    at: float
    input_tokens: int
    reserved_output_tokens: int
    output_tokens: int = 0

    def headers(self) -> dict[str, str]:
        """Where the account stands now."""
        return headers_of(self.family, self.account)

    def end(self, *, paid: bool) -> None:
        """The answer is out, or an error: settle what it used and book it."""
        now = time.monotonic()
        self.account.open -= 1
        used = self.output_tokens if paid else 0
        if self.account.buckets:
            input_change = 0 if paid else -self.input_tokens
            self.account.take(_amounts(0, input_change, used - self.reserved_output_tokens), now)
        if not paid:
            self.books.add(self.account, self.model, self.at, errors=1)
            return
        self.account.used_tokens += self.input_tokens + used
        if self.family == "openai":
            self.books.add_served(
                self.account, self.model, self.at, requests=1, input_tokens=self.input_tokens, output_tokens=used
            )
        else:
            self.books.add_served(self.account, self.model, self.at, requests=1, input_tokens=self.input_tokens)
            self.books.add_served(self.account, self.model, now, output_tokens=used)

    def abort(self) -> None:
        """The caller left: what was counted ahead stays counted."""
        self.account.open -= 1
        self.books.add(self.account, self.model, self.at, aborted=1)


class Meter:
    """The limits in force and the books."""

    def __init__(self, limits: Limits) -> None:
        self.limits = limits
        self.restart()

    def restart(self) -> None:
        """Full buckets and empty books; open calls end in the old ones."""
        self.accounts = Accounts(self.limits)
        self.books = Books()

    def admit(self, family: Family, headers: dict[bytes, bytes], prompt: Prompt) -> tuple[Account, Admission | Refusal]:
        """Let a call in, or say why not; a refused one costs nothing."""
        now = time.monotonic()
        account = self.accounts.of(key_of(headers), prompt.model)
        input_tokens = prompt.count_tokens()
        reserves = account.limit.reserves_output
        if reserves is None:
            reserves = family == "openai"
        reserved = (prompt.max_tokens or ESTIMATED_OUTPUT_TOKENS) if reserves and prompt.has_output else 0
        refusal = account.admit(_amounts(1, input_tokens, reserved), now)
        if refusal is not None:
            self.books.add(account, prompt.model, now, **{f"refused_{refusal.kind}": 1})
            return account, refusal
        return account, Admission(self.books, account, family, prompt.model, now, input_tokens, reserved)


def key_of(headers: dict[bytes, bytes]) -> str:
    """The caller's key, of `Authorization: Bearer` or `x-api-key`; empty when there is none."""
    given = headers.get(b"x-api-key")
    if given is None:
        scheme, _, credentials = headers.get(b"authorization", b"").partition(b" ")
        given = credentials if scheme.lower() == b"bearer" else b""
    return given.strip().decode("latin-1")


def headers_of(family: Family, account: Account) -> dict[str, str]:
    """Where an account stands, in the provider's headers."""
    if not account.buckets:
        return {}
    make: Any = openai_headers if family == "openai" else anthropic_headers
    headers: dict[str, str] = make(account, time.monotonic())
    return headers


def _amounts(requests: int, input_tokens: int, output_tokens: int) -> dict[Kind, int]:
    return {
        "requests": requests,
        "tokens": input_tokens + output_tokens,
        "input_tokens": input_tokens,
        "output_tokens": output_tokens,
    }
