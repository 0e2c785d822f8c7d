"""OpenAI embeddings: `POST /v1/embeddings`. Never streamed, and nothing is generated: only the input counts.

A vector is made of its text's digest: the same text has the same one, of length 1, and different texts lie across each other; it tells nothing
about what they mean. Fewer `dimensions` are the beginning of the whole vector, brought to length 1 again, as OpenAI does it.
"""

import base64
import hashlib
import math
import struct
from typing import Any

from dayshift.fakellm.answer import Answer
from dayshift.fakellm.formats.format import Format
from dayshift.fakellm.formats.openai_errors import openai_error
from dayshift.fakellm.prompt import CallError, Prompt, positive_int, required_text
from dayshift.fakellm.tokens import count_tokens

MOST_INPUTS = 2_048
MOST_TOKENS_OF_ONE = 8_192
MOST_TOKENS = 300_000
DIMENSIONS = {"text-embedding-3-large": 3_072}
_USUAL_DIMENSIONS = 1_536
_UNSHORTENED = "text-embedding-ada-002"
_ENCODINGS = ("float", "base64")


def read(body: dict[str, Any]) -> Prompt:
    """The call out of its body, held to the bounds that OpenAI's reference gives."""
    model = required_text(body, "model", "you must provide a model parameter")
    inputs = _inputs(body)
    _check_form(body, model)
    tokens = [_tokens_of(one) for one in inputs]
    for each in tokens:
        if each > MOST_TOKENS_OF_ONE:
            message = f"This model's maximum context length is {MOST_TOKENS_OF_ONE} tokens, however you requested {each} tokens"
            raise CallError(f"{message} ({each} in your prompt; 0 for the completion). Please reduce your prompt.")
    if sum(tokens) > MOST_TOKENS:
        raise CallError(f"Requested {sum(tokens)} tokens, max {MOST_TOKENS} tokens per request")
    texts = [_text_of(one) for one in inputs]
    return Prompt(
        model=model,
        texts=texts,
        last_message=texts[-1],
        tools=[],
        stream=False,
        max_tokens=None,
        body=body,
        counted_tokens=sum(tokens),
        has_output=False,
    )


def whole(answer: Answer, prompt: Prompt) -> dict[str, Any]:
    """A vector for each input, in their order."""
    size = prompt.body.get("dimensions") or DIMENSIONS.get(prompt.model, _USUAL_DIMENSIONS)
    as_base64 = prompt.body.get("encoding_format") == "base64"
    data = []
    for index, text in enumerate(prompt.texts):
        packed = vector(text, size)
        numbers = base64.b64encode(packed).decode() if as_base64 else list(struct.unpack(f"<{size}f", packed))
        data.append({"object": "embedding", "index": index, "embedding": numbers})
    usage = {"prompt_tokens": answer.prompt_tokens, "total_tokens": answer.prompt_tokens}
    return {"object": "list", "data": data, "model": answer.model, "usage": usage}


def vector(text: str, size: int) -> bytes:
    """So many numbers of 32 bits, little-endian, as base64 carries them."""
    numbers = struct.unpack(f"<{size}h", hashlib.shake_256(text.encode("utf-8", "replace")).digest(2 * size))
    length = math.hypot(*numbers) or 1.0
    return struct.pack(f"<{size}f", *(number / length for number in numbers))


def _inputs(body: dict[str, Any]) -> list[Any]:
    """A text, a list of texts, or the same as lists of tokens' numbers."""
    given = body.get("input")
    inputs = given if isinstance(given, list) and not _is_tokens(given) else [given]
    if not inputs or not all(one and (isinstance(one, str) or _is_tokens(one)) for one in inputs):
        raise CallError(
            "'$.input' is invalid. Please check the API reference: https://platform.openai.com/docs/api-reference."
        )
    if len(inputs) > MOST_INPUTS:
        raise CallError(f"'input' has {len(inputs)} inputs, more than {MOST_INPUTS}.", param="input")
    return inputs


def _is_tokens(value: Any) -> bool:
    return isinstance(value, list) and bool(value) and all(type(one) is int and one >= 0 for one in value)


def _tokens_of(one: str | list[int]) -> int:
    return count_tokens(len(one)) if isinstance(one, str) else len(one)


def _text_of(one: str | list[int]) -> str:
    return one if isinstance(one, str) else " ".join(map(str, one))


def _check_form(body: dict[str, Any], model: str) -> None:
    encoding = body.get("encoding_format")
    if encoding is not None and encoding not in _ENCODINGS:
        raise CallError(
            f"Invalid value: {encoding!r}. Supported values are: 'float' and 'base64'.", param="encoding_format"
        )
    size = positive_int(body, "dimensions")
    if size is not None and model == _UNSHORTENED:
        raise CallError("This model does not support specifying dimensions.", param="dimensions")
    if size is not None and size > (most := DIMENSIONS.get(model, _USUAL_DIMENSIONS)):
        raise CallError(
            f"Invalid value for 'dimensions' = {size}. Must be less than or equal to {most}.", param="dimensions"
        )


OPENAI_EMBEDDINGS = Format(read=read, whole=whole, frames=None, error=openai_error, request_id_header="x-request-id")
