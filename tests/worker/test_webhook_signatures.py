"""Signatures, held against the vectors of the standard; and the code of docs/howto/webhooks.md, which receivers copy."""

import asyncio
import json
import re
import shutil
from datetime import UTC, datetime
from pathlib import Path

import openai
import pytest
from standardwebhooks import Webhook, WebhookVerificationError

from dayshift.domain import webhooks
from dayshift.domain.settings import Settings, WebhookSettings
from dayshift.domain.webhooks import Delivery, Endpoint
from dayshift.tasks.inputs import WebhookRequest
from dayshift.worker.webhooks.telling import signatures
from tests.worker.house import TENANT, House, working
from tests.worker.receiver import Call, receiving

VECTORS = json.loads(Path(__file__).with_name("standard_webhooks_vectors.json").read_text())
PAGE = (Path(__file__).parents[2] / "docs" / "howto" / "webhooks.md").read_text()
JAVASCRIPT = re.search(r"```javascript\n(.*?)```", PAGE, re.DOTALL)[1]
PYTHON = next(code for code in re.findall(r"```python\n(.*?)```", PAGE, re.DOTALL) if "def event_of" in code)


def test_we_sign_as_the_standard_does():
    sign = VECTORS["sign"]
    moment = datetime.fromtimestamp(sign["webhook-timestamp"], UTC)
    for secret in (sign["secret"], sign["secret"].removeprefix("whsec_")):
        signed = signatures([secret], sign["webhook-id"], moment, sign["payload"])
        assert signed == sign["webhook-signature"]
    both = signatures([webhooks.make_secret(), sign["secret"]], sign["webhook-id"], moment, sign["payload"])
    assert both.split(" ")[1] == sign["webhook-signature"]


@pytest.fixture
async def call_and_secret(house: House) -> tuple[Call, str]:
    """What a receiver gets while a secret is rotated, and the old one."""
    house.settings = Settings(webhooks=WebhookSettings(allow_private=True))
    async with receiving() as receiver, working(house):
        old = await house.ledger.webhooks.default(TENANT)
        await house.ledger.webhooks.rotate(old, webhooks.make_secret(), keep_old_seconds=60)
        await house.submit("echo", text="ü", options={"webhook": WebhookRequest(url=receiver.url)})
        (call,) = await receiver.called()
    return call, old.secret


async def test_what_we_send_is_verified_by_whoever_verifies(call_and_secret):
    call, secret = call_and_secret
    event = call.verified(secret)
    assert event["data"]["output"] == "acme:1:ü"
    namespace: dict = {}
    exec(PYTHON, namespace)
    assert namespace["event_of"](call.body, call.headers, secret) == event
    client = openai.OpenAI(api_key="none", webhook_secret=secret)
    client.webhooks.verify_signature(call.body, call.headers)
    with pytest.raises(openai.InvalidWebhookSignatureError):
        client.webhooks.verify_signature(call.body + b" ", call.headers)
    for headers in forged(call):
        with pytest.raises((WebhookVerificationError, ValueError)):
            namespace["event_of"](call.body, headers, secret)


@pytest.mark.skipif(shutil.which("node") is None, reason="the JavaScript of the page needs node")
async def test_the_javascript_of_the_page_verifies_and_refuses(call_and_secret, tmp_path):
    call, secret = call_and_secret
    script = tmp_path / "verify.mjs"
    script.write_text(
        JAVASCRIPT
        + """
const { body, cases, secret } = JSON.parse(process.argv[2]);
console.log(JSON.stringify(cases.map((headers) => { try { return eventOf(body, headers, secret).type; } catch { return null; } })));
"""
    )
    given = {"body": call.body.decode(), "cases": [call.headers, *forged(call)], "secret": secret}
    node = await asyncio.create_subprocess_exec("node", script, json.dumps(given), stdout=asyncio.subprocess.PIPE)
    out, _ = await node.communicate()
    assert json.loads(out) == ["task.succeeded", *[None] * len(forged(call))]


def forged(call: Call) -> list[dict[str, str]]:
    """What the standard's vectors say must be rejected."""
    signature, stamp = call.headers["webhook-signature"].split(" ")[1], int(call.headers["webhook-timestamp"])
    changes: list[dict[str, str]] = [
        {"webhook-signature": signature[:-2] + ("A=" if signature[-2] != "A" else "E=")},
        {"webhook-signature": "v1,"},
        {"webhook-signature": signature[:20]},
        {"webhook-timestamp": str(stamp - 301)},
        {"webhook-timestamp": str(stamp + 301)},
    ]
    missing = [{name: value for name, value in call.headers.items() if name != left_out} for left_out in
               ("webhook-id", "webhook-timestamp", "webhook-signature")]  # fmt: skip
    return [*missing, *({**call.headers, **change} for change in changes)]


def test_the_page_of_the_standard_is_known_to_these_tests():
    assert len(VECTORS["must_reject"]) == 8
    for secret in ("", "whsec_"):
        with pytest.raises(Exception, match="empty"):
            Webhook(secret)


def test_a_secret_is_in_no_text_of_its_owner():
    secret = webhooks.make_secret()
    moment = datetime.now(UTC)
    endpoint = Endpoint(
        id="wh_1", tenant="a", name="n", url="https://x/token", event_types=[], secret=secret, old_secret=secret,
        old_secret_until=moment, created_at=moment, updated_at=moment,
    )  # fmt: skip
    for text in (repr(endpoint), str(endpoint), repr([endpoint])):
        assert secret not in text
        assert "token" not in text
    assert webhooks.hint_of(secret)[-4:] in secret
    assert repr(Delivery(type="task.failed", timestamp=moment, endpoint=None))
