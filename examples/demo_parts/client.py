"""What the demo asks of the gateway, over plain HTTP, as any client would."""

import json
from typing import Any

import httpx2

from demo_parts.trouble import DemoFailed

FINAL = ("succeeded", "failed", "cancelled")
Task = dict[str, Any]


class Client:
    """A caller with one API key."""

    def __init__(self, url: str, key: str) -> None:
        self.http = httpx2.AsyncClient(base_url=url, headers={"Authorization": f"Bearer {key}"}, timeout=20)

    async def submit(self, question: str, *, priority: int, metadata: dict[str, str]) -> Task:
        body = {"agent": "answer_desk", "input": {"question": question}, "priority": priority, "metadata": metadata}
        answer = await self.http.post("/v1/tasks", json=body)
        accepted: Task = _expect(answer, 202, "POST /v1/tasks")
        return accepted

    async def tasks(self) -> list[Task]:
        answer = await self.http.get("/v1/tasks", params={"limit": 100})
        listed: list[Task] = _expect(answer, 200, "GET /v1/tasks")["data"]
        return listed

    async def last_worker(self, task_id: str) -> str:
        """The worker of the task's last start, as its event stream tells."""
        worker = ""
        async with self.http.stream("GET", f"/v1/tasks/{task_id}/events", params={"after": 0}) as stream:
            event = ""
            async for line in stream.aiter_lines():
                if line.startswith("event:"):
                    event = line[6:].strip()
                elif line.startswith("data:") and event == "task.started":
                    worker = json.loads(line[5:]).get("worker") or worker
        return worker

    async def workers(self) -> list[dict[str, Any]]:
        listed: list[dict[str, Any]] = _expect(await self.http.get("/v1/workers"), 200, "GET /v1/workers")["data"]
        return listed

    async def change_setting(self, path: str, value: Any, why: str) -> None:
        answer = await self.http.put(f"/v1/settings/{path}", json={"value": value, "why": why})
        _expect(answer, 200, f"PUT /v1/settings/{path}")

    async def close(self) -> None:
        await self.http.aclose()


def _expect(answer: httpx2.Response, status: int, what: str) -> Any:
    if answer.status_code != status:
        raise DemoFailed(f"{what} answered {answer.status_code}, not {status}: {answer.text[:500]}")
    return answer.json()
