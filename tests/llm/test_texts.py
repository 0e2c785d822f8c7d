"""What a model says with each event of a stream, as providers recorded it: together the text of the answer."""

import pytest

from dayshift.llm.formats import Event
from dayshift.llm.formats.anthropic_messages import MESSAGES
from dayshift.llm.formats.openai_chat import CHAT
from dayshift.llm.formats.openai_responses import RESPONSES


def event(name, data):
    return Event(raw=b"", name=name, data=data)


@pytest.mark.parametrize(
    ("api", "name", "data", "text"),
    [
        (CHAT, "", b'{"choices":[{"index":0,"delta":{"role":"assistant","content":""}}]}', ""),
        (CHAT, "", b'{"choices":[{"index":0,"delta":{"content":"Hi"}}]}', "Hi"),
        (CHAT, "", b'{"choices":[{"index":1,"delta":{"content":"another choice"}}]}', ""),
        (CHAT, "", b'{"choices":[{"index":0,"delta":{"tool_calls":[{"index":0,"function":{"arguments":"{"}}]}}]}', ""),
        (CHAT, "", b'{"choices":[],"usage":{}}', ""),
        (CHAT, "", b'{"choices":[{"index":0,"delta":null}]}', ""),
        (CHAT, "", b"[DONE]", ""),
        (RESPONSES, "response.output_text.delta", b'{"delta":"Hi"}', "Hi"),
        (RESPONSES, "response.function_call_arguments.delta", b'{"delta":"{"}', ""),
        (RESPONSES, "response.output_text.done", b'{"text":"Hi"}', ""),
        (MESSAGES, "content_block_delta", b'{"delta":{"type":"text_delta","text":"Hi"}}', "Hi"),
        (MESSAGES, "content_block_delta", b'{"delta":{"type":"thinking_delta","thinking":"hm"}}', ""),
        (MESSAGES, "content_block_delta", b'{"delta":{"type":"input_json_delta","partial_json":"{"}}', ""),
        (MESSAGES, "message_delta", b'{"delta":{"stop_reason":"end_turn"}}', ""),
        (MESSAGES, "content_block_delta", b"no json", ""),
    ],
)
def test_only_what_is_said_is_text(api, name, data, text):
    assert api.text_in(event(name, data)) == text
