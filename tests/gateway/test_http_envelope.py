"""What every answer carries, whom web pages of other origins are to the gateway, and whose word on the caller counts."""

import ssl

import pytest
from tests.certificates import a_certificate

from dayshift.domain import ids
from dayshift.domain.errors import WrongUse
from dayshift.gateway import server_context

pytestmark = pytest.mark.asyncio(loop_scope="module")

PATHS = ("/livez", "/", "/v1/tasks", "/v1/nothing", "/openapi.json")
PAGE = "https://app.example.com"


@pytest.mark.parametrize("path", PATHS)
async def test_every_answer_has_an_id_and_says_nothing_to_caches_and_sniffers(http, path):
    headers = (await http.get(path)).headers
    assert ids.is_valid(ids.REQUEST, headers["x-request-id"])
    assert headers["x-content-type-options"] == "nosniff"
    assert headers["cache-control"] == "no-store"
    assert headers["cross-origin-resource-policy"] == "same-origin"
    assert "strict-transport-security" not in headers


async def test_a_stream_keeps_what_it_says_to_caches(http, house, echo):
    task = (await http.post("/v1/tasks", json=echo)).json()
    await house.finish(task["id"])
    headers = (await http.get(f"/v1/tasks/{task['id']}/events")).headers
    assert headers.get_list("cache-control") == ["no-cache, no-transform"]
    assert "x-request-id" in headers


@pytest.mark.parametrize("sent", ["a", "01J9-abc_DEF.7:9", "f" * 128])
async def test_an_id_of_the_clients_own_comes_back(http, sent):
    assert (await http.get("/livez", headers={"x-request-id": sent})).headers["x-request-id"] == sent


@pytest.mark.parametrize("sent", ["", "a b", "f" * 129, "<b>", "é"])
async def test_what_is_no_id_is_not_repeated(http, sent):
    answer = await http.get("/livez", headers={"x-request-id": sent.encode()})
    assert ids.is_valid(ids.REQUEST, answer.headers["x-request-id"])


async def test_no_page_of_another_origin_is_let_in(http):
    asked = {"origin": PAGE, "access-control-request-method": "POST"}
    assert (await http.options("/v1/tasks", headers=asked)).status_code == 405
    assert "access-control-allow-origin" not in (await http.get("/v1/tasks", headers={"origin": PAGE})).headers


async def test_the_settings_let_pages_in_while_it_runs(http, house, echo):
    await http.put("/v1/settings/gateway.cors_origins", json={"value": [PAGE]})
    await house.live_settings.load()
    asked = {
        "origin": PAGE,
        "access-control-request-method": "POST",
        "access-control-request-headers": "authorization,idempotency-key,content-type",
    }
    preflight = await http.options("/v1/tasks", headers=asked)
    assert preflight.status_code == 200
    assert preflight.headers["access-control-allow-origin"] == PAGE
    assert "idempotency-key" in preflight.headers["access-control-allow-headers"]
    assert "access-control-allow-credentials" not in preflight.headers
    made = await http.post("/v1/tasks", json=echo, headers={"origin": PAGE})
    assert (made.status_code, made.headers["access-control-allow-origin"]) == (202, PAGE)
    assert "Location" in made.headers["access-control-expose-headers"]
    stranger = await http.options("/v1/tasks", headers={**asked, "origin": "https://evil.example"})
    assert stranger.status_code == 400
    assert "access-control-allow-origin" not in stranger.headers

    await http.delete("/v1/settings/gateway.cors_origins")
    await house.live_settings.load()
    assert (await http.options("/v1/tasks", headers=asked)).status_code == 405


@pytest.mark.parametrize("value", [["app.example.com"], ["https://app.example.com/"], ["https://*.example.com"], "*"])
async def test_what_is_no_origin_is_refused(http, value):
    answer = await http.put("/v1/settings/gateway.cors_origins", json={"value": value})
    assert (answer.status_code, answer.json()["code"]) == (422, "invalid_setting")


async def test_files_that_are_no_certificate_are_named(tmp_path):
    certificate, key = tmp_path / "cert.pem", tmp_path / "key.pem"
    with pytest.raises(WrongUse, match=r"cannot be read \(No such file"):
        server_context(certificate, key)
    certificate.write_text("nothing")
    key.write_text("nothing")
    with pytest.raises(WrongUse, match="are no certificate and its key in PEM"):
        server_context(certificate, key)
    for path, text in zip((certificate, key), a_certificate("one.example"), strict=True):
        path.write_text(text)
    assert server_context(certificate, key).minimum_version is ssl.TLSVersion.TLSv1_2
    key.write_text(a_certificate("another.example")[1])
    with pytest.raises(WrongUse, match="KEY_VALUES_MISMATCH"):
        server_context(certificate, key)
