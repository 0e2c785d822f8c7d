"""Agent cards: what an agent is called, what it takes, and where and how it is asked.

A card is public, as clients read it before they have a key: it says no more than the agent's name, the first paragraph of
its docstring and its media types. What else it takes and gives, its JSON Schemas, is in the extended card, which needs a key.
"""

import hashlib
from datetime import UTC, datetime
from email.utils import format_datetime, parsedate_to_datetime
from typing import Any
from urllib.parse import quote

import msgspec
from a2a.types import a2a_pb2 as pb
from google.protobuf.json_format import ParseDict

from dayshift.gateway.a2a.inputs import input_modes
from dayshift.gateway.replies import JSON, Reply, header
from dayshift.gateway.request import Request
from dayshift.ledger import AgentRow

Card = dict[str, Any]

MAX_AGE_SECONDS = 300
OUTPUT_MODES = ["text/plain", "application/json"]
SCHEMAS = "https://dayshift.dev/a2a/schemas"
_KEY = "dayshiftKey"


def card_of(agent: AgentRow, request: Request) -> Card:
    """The public card."""
    url = f"{request.base_url()}/a2a/{quote(agent.name, safe='')}"
    about = _about(agent)
    bindings = ("JSONRPC", "HTTP+JSON")
    return {
        "name": agent.name,
        "description": about,
        "version": agent.version,
        "supportedInterfaces": [
            {"url": url, "protocolBinding": binding, "protocolVersion": "1.0"} for binding in bindings
        ],
        "capabilities": {"streaming": True, "pushNotifications": True, "extendedAgentCard": True},
        "securitySchemes": {_KEY: {"httpAuthSecurityScheme": {"scheme": "Bearer", "bearerFormat": "dsk_..."}}},
        "securityRequirements": [{"schemes": {_KEY: {"list": []}}}],
        "defaultInputModes": input_modes(agent),
        "defaultOutputModes": OUTPUT_MODES,
        "skills": [{"id": agent.name, "name": agent.name, "description": about, "tags": ["agent"]}],
    }


def extended_card(agent: AgentRow, request: Request) -> pb.AgentCard:
    """The card for who has a key: with the schemas of what the agent takes and gives."""
    card = card_of(agent, request)
    schemas = {"input": msgspec.json.decode(agent.input_schema), "output": msgspec.json.decode(agent.output_schema)}
    extension = {"uri": SCHEMAS, "description": "JSON Schemas of the data parts", "params": schemas}
    card["capabilities"]["extensions"] = [extension]
    shown: pb.AgentCard = ParseDict(card, pb.AgentCard())
    return shown


def card_reply(agent: AgentRow, request: Request) -> Reply:
    """The public card, or 304 for who has it as it is."""
    body = msgspec.json.encode(card_of(agent, request), order="deterministic")
    etag = f'"{hashlib.sha256(body).hexdigest()[:32]}"'
    changed_at = (agent.registered_at or datetime.fromtimestamp(0, UTC)).astimezone(UTC).replace(microsecond=0)
    headers = [
        header("etag", etag),
        header("cache-control", f"public, max-age={MAX_AGE_SECONDS}"),
        header("last-modified", format_datetime(changed_at, usegmt=True)),
        header("vary", "host"),
        header("access-control-allow-origin", "*"),
    ]
    if _has_it(request, etag, changed_at):
        return Reply(304, b"", headers)
    return Reply(200, body, [JSON, *headers])


def _has_it(request: Request, etag: str, changed_at: datetime) -> bool:
    """If-None-Match decides where it is sent, If-Modified-Since else (RFC 9110, 13.2.2)."""
    known = request.header(b"if-none-match")
    if known is not None:
        return any(one.strip().removeprefix("W/") in {etag, "*"} for one in known.split(","))
    since = request.header(b"if-modified-since")
    try:
        return since is not None and changed_at <= parsedate_to_datetime(since).astimezone(UTC)
    except (ValueError, TypeError):
        return False


def _about(agent: AgentRow) -> str:
    options = msgspec.json.decode(agent.options)
    paragraph = str(options.get("description") or "").partition("\n\n")[0]
    return " ".join(paragraph.split()) or f"The agent {agent.name}."
