"""The examples of the how-to work as they stand."""

import json
import re
from pathlib import Path

from dayshift.fakellm.faults import FaultName
from tests.fakellm.process import chat_body

PAGE = Path(__file__).parents[2] / "docs" / "howto" / "fakellm.md"


def test_the_limits_and_faults_of_the_page_are_taken(fake):
    limits, faults = (json.loads(block) for block in re.findall(r"```json\n(.*?)```", PAGE.read_text(), re.DOTALL))
    fake.limit(limits)
    fake.faults(*faults["rules"])
    key = {"authorization": "Bearer sk-spent"}
    refused = fake.http.post("/v1/chat/completions", json=chat_body(), headers=key)
    assert refused.json()["error"]["code"] == "insufficient_quota"
    served = fake.http.post("/v1/chat/completions", json=chat_body(), headers={"authorization": "Bearer sk-small"})
    assert served.headers["x-ratelimit-limit-requests"] == "60"


def test_the_page_names_every_fault():
    named = set(re.findall(r"^\| `(\w+)` \|", PAGE.read_text().partition("## Faults")[2], re.MULTILINE))
    assert set(FaultName.__args__) <= named
