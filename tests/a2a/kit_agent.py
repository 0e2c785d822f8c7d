"""The agent that the A2A technology compatibility kit (github.com/a2aproject/a2a-tck) is run against.

The kit says by the beginning of a message's id what is to come of it (its scenarios/*.feature). To run it:

    dayshift run tests/a2a/kit_agent.py &
    dayshift config set webhooks.allow_private true
    (in the kit) ./run_tck.py --sut-host http://127.0.0.1:8700
"""

from typing import Any

from dayshift import Context, Fatal, agent

TEXT = {"parts": [{"text": "Generated text content"}]}
FILE = {"filename": "output.txt", "mediaType": "text/plain"}
ARTIFACTS: dict[str, dict[str, Any]] = {
    "tck-artifact-text": TEXT,
    "tck-artifact-file-url": {"parts": [{"url": "https://example.com/output.txt", **FILE}]},
    "tck-artifact-file": {"parts": [{"raw": "SGVsbG8gZnJvbSBUQ0s=", **FILE}]},
    "tck-artifact-data": {"parts": [{"data": {"key": "value", "count": 42}, "mediaType": "application/json"}]},
    "tck-stream-001": {"parts": [{"text": "Stream hello from TCK"}]},
    "tck-stream-003": {"parts": [{"text": "Stream task lifecycle"}]},
    "tck-stream-ordering-001": {"parts": [{"text": "Ordered output"}]},
    "tck-stream-artifact-text": {"parts": [{"text": "Streamed text content"}]},
    "tck-stream-artifact-file": {"parts": [{"raw": "SGVsbG8gZnJvbSBUQ0s=", **FILE}]},
    "tck-stream-artifact-chunked": {"parts": [{"text": "chunk-1 chunk-2"}]},
}


class Rejected(Fatal):
    """What A2A shows as a task that was rejected."""

    code = "rejected"


@agent(name="kit", max_attempts=1)
async def kit(ctx: Context, a2a_message: dict[str, Any]) -> Any:
    """Does what the compatibility kit asks for."""
    said: str = a2a_message["messageId"]
    while said.startswith("tck-input-required"):
        said = (await ctx.wait_for("message"))["messageId"]
    if said.startswith("tck-reject-task"):
        raise Rejected("rejected")
    if said.startswith("tck-message-response"):
        return {"a2a_message": {"parts": [{"text": "Direct message response"}]}}
    if said.startswith("test-resubscribe-message-id"):
        await ctx.sleep(4)
    for beginning, artifact in ARTIFACTS.items():
        if said.startswith(beginning):
            return {"a2a_artifacts": [artifact]}
    return "Hello from TCK"
