"""The settings and the words of docs/howto/cap-the-spend.md are those of the code."""

import json
import re
import shlex
from datetime import UTC, datetime
from pathlib import Path

from dayshift.domain.budget import Scope
from dayshift.domain.provider_settings import BudgetSettings
from dayshift.hotplane.budgets import Amount, Line, NotHeld
from dayshift.llm.budgets.limits import Limit
from dayshift.llm.budgets.refusals import budget_spent
from dayshift.settings.document import with_value
from dayshift.settings.paths import parse
from dayshift.settings.shape import check

PAGE = (Path(__file__).parents[2] / "docs" / "howto" / "cap-the-spend.md").read_text()


def test_every_setting_of_the_page_is_taken():
    document: dict = {}
    commands = re.findall(r"^dayshift config set .*", PAGE, re.MULTILINE)
    for command in commands:
        path, value = shlex.split(command, comments=True)[3:5]
        document = with_value(document, parse(path), json.loads(value))
    settings = check(document)
    assert len(commands) == 5
    assert settings.prices["openai/gpt-4o"].cached_usd_per_million == 1.0
    assert settings.tenant("anybody").user_budget.usd_per_day == 1
    assert settings.agent("researcher").budget.tokens_per_task == 200_000


def test_the_refusal_of_the_page_is_what_is_said():
    quoted = re.search(r"```text\n(.*?)```", PAGE, re.DOTALL).group(1)
    midnight = int(datetime(2026, 11, 24, tzinfo=UTC).timestamp())
    line = Line(Scope("tenant", "acme", ""), "day", 50 * 10**9, None)
    limit = Limit(line, "tenants.acme.budget.{}_per_day", BudgetSettings(usd_per_day=50))
    answer = NotHeld(0, "usd", 49_930_000_000, 40_000_000, midnight, is_busy=True)
    said = budget_spent(limit, answer, Amount(80_000_000))
    assert said.message == " ".join(quoted.split())
