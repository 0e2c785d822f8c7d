"""From what a client says to what an agent is given.

An agent's parameters decide it, so that agents need not know of A2A:

- objects of data parts are parameters by name; the later of two wins
- text parts, joined by line ends, are the first parameter that can be text and that no data part gave
- without such a parameter the text, or the one value that is no object, is the input as it is: the agent's schema judges it
- a parameter named `a2a_message` is given the whole message, as the protocol's JSON has it. Only who takes that can be sent
  files, as bytes or as a URL, and parts of any media type: it is the agent that judges them

What is said to a task that waits becomes the payload of the signal: the whole message for who takes `a2a_message`, else the
text, or the data; both together as a list of the parts' values.
"""

from typing import Any

import msgspec
from a2a.utils.errors import ContentTypeNotSupportedError, InvalidParamsError

from dayshift.domain.a2a import MESSAGE, Json
from dayshift.ledger import AgentRow

TEXT_MODES = ("text/plain", "application/json")
ANY_MODE = "*/*"


def input_modes(agent: AgentRow) -> list[str]:
    """The media types that an agent can be sent, as its card tells."""
    return [*TEXT_MODES, ANY_MODE] if MESSAGE in _parameters(agent) else [*TEXT_MODES]


def input_of(agent: AgentRow, message: Json) -> bytes:
    """A task's input, as JSON. Raises ContentTypeNotSupportedError, InvalidParamsError."""
    _check_media_types(agent, message)
    parameters = _parameters(agent)
    texts, values = _said(message)
    given: Json = {}
    for value in values:
        if isinstance(value, dict):
            given.update(value)
    others = [value for value in values if not isinstance(value, dict)]
    takes_text = [name for name, schema in parameters.items() if name not in given and _can_be_text(schema)]
    if MESSAGE in parameters:
        given[MESSAGE] = message
        takes_text = [name for name in takes_text if name != MESSAGE]
    if texts and takes_text:
        given[takes_text[0]] = "\n".join(texts)
    elif texts and not given:
        others.append("\n".join(texts))
    if not others:
        return msgspec.json.encode(given)
    if given or len(others) > 1:
        raise InvalidParamsError("send one value, or data parts that are objects of parameters by name")
    return msgspec.json.encode(others[0])


def payload_of(agent: AgentRow, message: Json) -> bytes:
    """What the agent's wait is given. Raises ContentTypeNotSupportedError."""
    _check_media_types(agent, message)
    if MESSAGE in _parameters(agent):
        return msgspec.json.encode(message)
    texts, values = _said(message)
    said = ["\n".join(texts), *values] if texts else values
    return msgspec.json.encode(said[0] if len(said) == 1 else said)


def _parameters(agent: AgentRow) -> dict[str, Any]:
    schema = msgspec.json.decode(agent.input_schema)
    properties: dict[str, Any] = schema.get("properties", {})
    return properties


def _said(message: Json) -> tuple[list[str], list[Any]]:
    texts = [part["text"] for part in message["parts"] if "text" in part]
    return texts, [part["data"] for part in message["parts"] if "data" in part]


def _can_be_text(schema: Any) -> bool:
    """Whether a parameter's schema names text as one of its types; a parameter without a hint takes anything."""
    if not isinstance(schema, dict) or not schema.keys() - {"title", "description", "default"}:
        return True
    kinds = schema.get("type", [])
    branches = [*schema.get("anyOf", []), *schema.get("oneOf", [])]
    return "string" in ([kinds] if isinstance(kinds, str) else kinds) or any(_can_be_text(one) for one in branches)


def _check_media_types(agent: AgentRow, message: Json) -> None:
    modes = input_modes(agent)
    if ANY_MODE in modes:
        return
    for part in message["parts"]:
        sent = part.get("mediaType", "").partition(";")[0].strip().lower()
        is_text = "text" in part and sent.startswith("text/")
        if "raw" in part or "url" in part or not (is_text or sent in {"", *modes}):
            what = sent[:100] or "files"
            raise ContentTypeNotSupportedError(f"this agent does not take {what}; it takes {', '.join(modes)}")
