"""The edge of a real `dayshift run`: its own certificate, and a proxy before it."""

import json
import ssl

import httpx2
import pytest

from tests.certificates import a_certificate
from tests.system.house import AGENTS, House

pytestmark = pytest.mark.system

NAME = "agents.example"


async def test_a_gateway_with_a_certificate_speaks_tls_to_clients_and_commands(house: House) -> None:
    certificate, key = a_certificate(NAME)
    for variable, text in (("DAYSHIFT_TLS_CERT", certificate), ("DAYSHIFT_TLS_KEY", key)):
        path = house.folder / variable
        path.write_text(text)
        house.environment[variable] = str(path)
    trust = ssl.create_default_context(cadata=certificate)
    trust.check_hostname = False  # it is made for the name that the world knows
    await house.start("run", str(AGENTS), trust=trust)
    await house.until(lambda: house.has_workers(1), "a worker")
    assert house.url.startswith("https://")
    assert "strict-transport-security" in (await house.http.get("/livez")).headers
    assert json.loads(await house.cli("tasks", "ls", "--json"))["object"]  # at another host than the certificate's
    with pytest.raises(httpx2.ConnectError):
        await httpx2.AsyncClient().get(f"{house.url}/livez")
    (house.folder / "DAYSHIFT_TLS_CERT").write_text(a_certificate(NAME)[0])
    assert "certificate" in (await house.cli("tasks", "ls", expect=1)).lower()


async def test_only_a_trusted_proxy_is_believed(house: House) -> None:
    """The absolute links of a card show which scheme the gateway believes that it was reached by."""
    said = {"x-forwarded-proto": "https", "x-forwarded-for": "203.0.113.7"}
    house.environment["DAYSHIFT_TRUSTED_PROXIES"] = "10.0.0.0/8,127.0.0.1"
    await house.start("run", str(AGENTS), key=await house.first_key())
    await house.until(lambda: house.has_workers(1), "a worker")
    card = f"{house.url}/a2a/{(await house.get('/v1/agents'))['data'][0]['name']}/.well-known/agent-card.json"
    for its_address, scheme in (("127.0.0.1", "https"), ("127.0.0.2", "http")):
        async with httpx2.AsyncClient(transport=httpx2.AsyncHTTPTransport(local_address=its_address)) as proxy:
            link = (await proxy.get(card, headers=said)).json()["supportedInterfaces"][0]["url"]
        assert link.startswith(f"{scheme}://")
