"""responses/: the door for clients of OpenAI's Responses API, over the same tasks. A response *is* a task.

    resp_677efb5139a88190b512bc3fef8e535d  <->  task_677efb51-39a8-8190-b512-bc3fef8e535d

There is no second store. What the request said and the task has no place for (its tools, its temperature, ...) stands in
the task's metadata under one reserved name, from where a response is shown again.

Read in this order: `names` (ids), `shapes` (what comes in and goes out), `wishes` and `fitting` (from a request to a
task), `views` (from a task to a response), `events` and `numbers` (the stream), `errors`, `door`.
"""

from dayshift.gateway.responses.door import ResponsesDoor
from dayshift.gateway.responses.table import response_routes

__all__ = ["ResponsesDoor", "response_routes"]
