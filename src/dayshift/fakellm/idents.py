"""Ids in the form that each provider gives them, and the clock of `created`."""

import secrets
import time


def unix_seconds() -> int:
    """The wall clock, as `created` and `created_at` carry it."""
    return int(time.time())


def chat_completion_id() -> str:
    """Of a chat completion."""
    return "chatcmpl-" + secrets.token_hex(15)[:29]


def tool_call_id() -> str:
    """Of a tool call, in both of OpenAI's dialects."""
    return "call_" + secrets.token_hex(12)


def response_id() -> str:
    """Of a response."""
    return "resp_" + secrets.token_hex(25)


def response_item_id(prefix: str) -> str:
    """`msg_...` for a message, `fc_...` for a function call: each item of a response carries one."""
    return f"{prefix}_{secrets.token_hex(25)}"


def anthropic_message_id() -> str:
    """Of an Anthropic message."""
    return "msg_01" + secrets.token_hex(11)


def anthropic_tool_use_id() -> str:
    """Of a tool use block."""
    return "toolu_01" + secrets.token_hex(11)


def request_id() -> str:
    """Of a request, as its header carries it."""
    return "req_" + secrets.token_hex(16)
