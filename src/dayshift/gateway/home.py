"""The plain page at `/`: what this is, and where to go."""

from dayshift._version import __version__
from dayshift.gateway.replies import Reply, header
from dayshift.gateway.request import Request

_LINKS = {
    "/openapi.json": "the API, as OpenAPI 3.1",
    "/v1/tasks": "tasks, newest first",
    "/v1/dead": "dead letters",
    "/v1/agents": "agents",
    "/v1/queues": "queues",
    "/v1/workers": "workers",
    "/readyz": "is it ready?",
    "/metrics": "metrics for Prometheus",
}

_PAGE = f"""<!doctype html>
<html lang="en"><meta charset="utf-8"><title>dayshift</title>
<style>body {{ font: 16px/1.5 system-ui, sans-serif; max-width: 40em; margin: 3em auto; padding: 0 1em }}</style>
<h1>dayshift {__version__}</h1>
<p>This is the gateway of a dayshift installation: it takes requests for AI agents and runs them durably.
Submit one with <code>POST /v1/tasks</code>.</p>
<ul>
{"".join(f'<li><a href="{path}">{path}</a>: {text}</li>' for path, text in _LINKS.items())}
</ul>
</html>
""".encode()

_HEADERS = [
    header("content-type", "text/html; charset=utf-8"),
    header("content-security-policy", "default-src 'none'; style-src 'unsafe-inline'"),
]


async def welcome(_request: Request) -> Reply:
    """The page."""
    return Reply(200, _PAGE, _HEADERS)
