"""Whatever is sent, the answer is one of those that the contract names."""

import json

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

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
@settings(max_examples=120, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
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
@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
async def test_random_bytes_never_fail_the_gateway(http, raw, path):
    assert (await http.post(path, content=raw, headers=JSON)).status_code in {400, 422}


@given(st.text(st.characters(codec="ascii", min_codepoint=0x21), max_size=30), st.binary(max_size=20))
@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
async def test_random_paths_and_headers_never_fail_the_gateway(http, text, header):
    value = header.replace(b"\r", b"").replace(b"\n", b"").replace(b"\x00", b"")
    for name in ("authorization", "last-event-id", "traceparent"):
        answer = await http.get("/v1/tasks", params={"after": text, "user": text}, headers=[(name.encode(), value)])
        assert answer.status_code in {200, 400, 401, 422}
