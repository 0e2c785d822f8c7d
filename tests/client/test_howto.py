"""The example of docs/howto/python-client.md, run against a gateway that is commanded."""

import re
from pathlib import Path

import httpx2

import dayshift
from dayshift.client.client import Client
from tests.client.test_sending import TASK, Gateway, events, ok

PAGE = (Path(__file__).parents[2] / "docs" / "howto" / "python-client.md").read_text()


def test_the_example_runs(monkeypatch, capsys):
    gateway = Gateway(
        ok(), events((1, "llm.delta"), (2, "task.succeeded")), ok(status="succeeded", output="It is on its way.")
    )
    made = Client.__init__

    def commanded(self, *arguments, **named):
        made(self, *arguments, **named)
        self._http._transport = httpx2.MockTransport(gateway)

    monkeypatch.setattr(Client, "__init__", commanded)
    (code,) = re.findall(r"```python\n(.*?)```", PAGE, re.DOTALL)
    exec(compile(code.replace('event.data["text"]', 'event.data["n"]'), "the how-to", "exec"), {"__name__": "example"})
    assert capsys.readouterr().out == "1It is on its way.\n"
    assert gateway.requests[0].headers["authorization"] == "Bearer dsk_..."
    assert TASK["id"] in str(gateway.requests[1].url)


def test_the_page_tells_every_call():
    told = set(re.findall(r"`(\w+)\(", PAGE))
    calls = {name for name, value in vars(dayshift.Client).items() if callable(value) and not name.startswith("_")} - {
        "close"
    }
    assert calls <= told
