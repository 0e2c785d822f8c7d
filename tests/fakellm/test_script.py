"""Rules decide what is answered; the first that fits is used."""

import json

import pytest

from dayshift.fakellm.script import ScriptError, load_script, read_script
from tests.fakellm.process import chat_body, fake_provider


def answer_of(fake, text="hello", **more):
    body = fake.http.post("/v1/chat/completions", json=chat_body(text, **more)).json()
    return body["choices"][0]["message"]["content"]


def test_without_a_script_equal_prompts_get_equal_answers(fake):
    assert answer_of(fake, "one") == answer_of(fake, "one")
    assert answer_of(fake, "one") != answer_of(fake, "two")
    assert answer_of(fake, "one").endswith(" to: one")


def test_first_rule_that_fits(fake):
    fake.script({"match": "^b", "answer": "B"}, {"contains": "a", "answer": "A"}, {"model": "other", "answer": "M"})
    assert [answer_of(fake, "bar"), answer_of(fake, "car")] == ["B", "A"]
    assert answer_of(fake, "x", model="other") == "M"
    assert answer_of(fake, "x").startswith("Answer ")


CALL = {"name": "look", "arguments": {"at": "x"}}
LOOK = {"type": "function", "function": {"name": "look"}}


def test_a_dialogue_with_tools_is_told_by_the_turn_and_as_often_as_it_is_asked(fake):
    fake.script({"turn": 1, "tool_calls": [CALL, CALL]}, {"turn": 2, "answer": "seen"}, {"turn": 3, "answer": "bye"})
    messages = [{"role": "user", "content": "look twice"}]

    def next_message():
        body = {"model": "m", "messages": messages, "tools": [LOOK]}
        return fake.http.post("/v1/chat/completions", json=body).json()["choices"][0]["message"]

    asked = next_message()
    assert [call["function"]["name"] for call in asked["tool_calls"]] == ["look", "look"]
    messages += [asked, *({"role": "tool", "tool_call_id": call["id"], "content": "y"} for call in asked["tool_calls"])]
    assert next_message()["content"] == next_message()["content"] == "seen"
    messages += [next_message(), {"role": "user", "content": "and?"}]
    assert next_message()["content"] == "bye"


def test_turns_of_the_other_dialects(fake):
    fake.script({"turn": 2, "answer": "second"}, {"answer": "other"})
    user = {"role": "user", "content": "hi"}
    items = [
        {"type": "reasoning", "summary": []},
        {"type": "function_call", "call_id": "c1", "name": "look", "arguments": "{}"},
        {"type": "function_call", "call_id": "c2", "name": "look", "arguments": "{}"},
        {"type": "function_call_output", "call_id": "c1", "output": "y"},
        {"type": "function_call_output", "call_id": "c2", "output": "y"},
    ]
    response = fake.http.post("/v1/responses", json={"model": "m", "input": [user, *items]}).json()
    assert response["output"][0]["content"][0]["text"] == "second"
    blocks = [{"type": "tool_use", "id": "t1", "name": "look", "input": {}}]
    results = [{"type": "tool_result", "tool_use_id": "t1", "content": "y"}]
    messages = [user, {"role": "assistant", "content": blocks}, {"role": "user", "content": results}]
    message = fake.http.post("/v1/messages", json={"model": "m", "max_tokens": 9, "messages": messages}).json()
    assert message["content"][0]["text"] == "second"


def test_times_is_used_up_and_falls_through_and_reset_begins_again(fake):
    fake.script({"answer": "first", "times": 2}, {"answer": "later"})
    assert [answer_of(fake) for _ in range(3)] == ["first", "first", "later"]
    fake.http.post("/_fake/reset")
    assert answer_of(fake) == "first"


def test_the_whole_prompt_or_the_last_user_message(fake):
    fake.script({"contains": "pirate", "where": "prompt", "answer": "Arr"}, {"contains": "pirate", "answer": "no"})
    messages = [{"role": "system", "content": "You are a pirate."}, {"role": "user", "content": "Hi"}]
    body = fake.http.post("/v1/chat/completions", json={"model": "m", "messages": messages}).json()
    assert body["choices"][0]["message"]["content"] == "Arr"


def test_output_tokens_make_a_text_of_that_length_or_only_the_bill(fake):
    fake.script({"contains": "long", "output_tokens": 50}, {"answer": "ok", "output_tokens": 900})
    long = fake.http.post("/v1/chat/completions", json=chat_body("long")).json()
    billed = fake.http.post("/v1/chat/completions", json=chat_body("x")).json()
    assert len(long["choices"][0]["message"]["content"]) == 200
    assert long["usage"]["completion_tokens"] == 50
    assert billed["choices"][0]["message"]["content"] == "ok"
    assert billed["usage"]["completion_tokens"] == 900


@pytest.mark.parametrize(
    ("script", "reason"),
    [
        ({"rules": [{"match": "("}]}, "rules[0]"),
        ({"rules": [{"anwser": "typo"}]}, "anwser"),
        ({"rules": [{"latency": "soon"}]}, "lognormal:MEDIAN,SIGMA"),
        ({"rules": [{"status": 200}]}, "rules[0].status"),
        ({"rules": [{"times": 0}]}, "rules[0].times"),
        ({"tokens_per_second": -1}, "tokens_per_second"),
        ("text", "object"),
    ],
)
def test_a_bad_script_is_refused_whole_with_its_reason(fake, script, reason):
    fake.script({"answer": "old"})
    refused = fake.http.post("/_fake/script", json=script)
    assert refused.status_code == 422
    assert reason in refused.json()["error"]
    assert answer_of(fake) == "old"


def test_files_of_both_kinds(tmp_path):
    toml = tmp_path / "script.toml"
    toml.write_text('[[rules]]\nmatch = "hi"\nanswer = "from toml"\ntool_calls = [{name = "f", arguments = {a = 1}}]\n')
    listed = tmp_path / "script.json"
    listed.write_text(json.dumps([{"answer": "from json"}]))
    assert load_script(toml)
    with fake_provider("--script", str(listed)) as fake:
        assert answer_of(fake) == "from json"


def test_a_file_that_cannot_be_used_says_why(tmp_path):
    broken = tmp_path / "broken.toml"
    broken.write_text("[[rules")
    with pytest.raises(ScriptError, match=r"broken\.toml is not TOML"):
        load_script(broken)
    with pytest.raises(ScriptError, match="cannot read"):
        load_script(tmp_path / "absent.json")
    with pytest.raises(ScriptError, match="Expected"):
        read_script([1])
