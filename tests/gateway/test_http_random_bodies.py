"""Whatever is sent, the answer is one of those that the contract names."""

import json

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

pytestmark = pytest.mark.asyncio(loop_scope="module")

JSON = {"content-type": "application/json"}

anything = st.recursive(
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats()
    | st.text(st.characters(exclude_categories=()), max_size=20),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
    max_leaves=8,
)
fields = st.sampled_from(
    [
        "agent",
        "input",
        "conversation",
        "user",
        "priority",
        "run_at",
        "delay",
        "timeout",
        "expires_at",
        "metadata",
        "on_busy",
        "webhook",
        "idempotency_key",
        "surprise",
    ]
)
likely = st.fixed_dictionaries(
    {"agent": st.just("echo") | anything, "input": st.just({"text": "x"}) | anything},
).flatmap(lambda base: st.dictionaries(fields, anything, max_size=3).map(lambda more: {**base, **more}))


@given(st.lists(likely | anything, min_size=1, max_size=3), st.booleans())
@settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
async def test_a_random_body_never_fails_the_gateway(http, bodies, ascii_only):
    for body in bodies:
        raw = json.dumps(body, ensure_ascii=ascii_only).encode("utf-8", "surrogatepass")
        assert (await http.post("/v1/tasks", content=raw, headers=JSON)).status_code in {202, 400, 422}
    raw = json.dumps({"tasks": bodies}, ensure_ascii=ascii_only).encode("utf-8", "surrogatepass")
    answer = await http.post("/v1/tasks/batch", content=raw, headers=JSON)
    assert answer.status_code in {202, 400}
    if answer.status_code == 202:
        assert all(one["status"] in {"queued", 400, 422} for one in answer.json()["data"])


@given(st.binary(max_size=100), st.sampled_from(["/v1/tasks", "/v1/tasks/batch", "/v1/keys"]))
@settings(max_examples=30, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
async def test_random_bytes_never_fail_the_gateway(http, raw, path):
    assert (await http.post(path, content=raw, headers=JSON)).status_code in {400, 422}


printable = st.text(st.characters(min_codepoint=0x20, max_codepoint=0xFF, exclude_characters="\x7f"), max_size=20)


@given(st.text(max_size=30), printable)
@settings(max_examples=12, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
async def test_random_queries_and_headers_never_fail_the_gateway(http, text, header):
    value = header.strip().encode("latin-1")
    for name in (b"last-event-id", b"traceparent", b"if-match", b"prefer"):
        answer = await http.get("/v1/tasks", params={"after": text, "user": text}, headers=[(name, value)])
        assert answer.status_code in {200, 422}
    for name in (b"idempotency-key", b"content-type", b"content-encoding", b"prefer", b"traceparent"):
        answer = await http.post("/v1/tasks", content=b"{}", headers=[(name, value)])
        assert answer.status_code in {400, 415, 422}
    assert (await http.get("/v1/tasks", headers=[(b"authorization", value)])).status_code == 401
