"""From the events of a task to those of a response, in OpenAI's documented order. A rule without choices: equal streams tell equal stories.

    task.queued        response.created, response.queued
    task.started       response.in_progress                      (once; later attempts go on with what was begun)
    llm.delta          response.output_text.delta                on the line of that call; its first one begins the line:
                       response.output_item.added, response.content_part.added
    llm.restarted      the call's line ends as incomplete; what comes now begins another
    task.succeeded     the lines end (output_text.done, content_part.done, output_item.done), then response.completed
    task.failed        the lines end as incomplete, then response.failed
    task.cancelled     likewise, then response.incomplete: OpenAI's clients know no event for it. Its status is `cancelled`
    task.snapshot      whatever of created, queued and in_progress was not told yet

The answer is what the agent returns. If a model spoke it, it is that model's line; what models spoke before, on the way, are
lines of their own (`phase` is `commentary`). If no model spoke it, or only its beginning arrived, it is told at the end. A task
that a person retries after it failed goes on with response.queued, and ends once more.
"""

from collections.abc import Iterator

import msgspec
from msgspec import UNSET

from dayshift.domain import stream
from dayshift.domain.stream import StreamEvent
from dayshift.domain.task import Status, Task
from dayshift.gateway.responses.lines import Line, LineStatus, Told
from dayshift.gateway.responses.shapes import ResponseStatus
from dayshift.gateway.responses.views import message_of, text_output, view_of
from dayshift.tasks import events

COMPLETED, FAILED, INCOMPLETE = "response.completed", "response.failed", "response.incomplete"
_END_OF = {Status.SUCCEEDED: COMPLETED, Status.FAILED: FAILED, Status.CANCELLED: INCOMPLETE}


class _Delta(msgspec.Struct):
    call: str
    text: str = ""


class Narrator:
    """Tells one task's story, from its beginning."""

    def __init__(self, task: Task) -> None:
        self._task = task
        self._told: set[str] = set()
        self._open: dict[str, Line] = {}  # by call, in the order in which they began
        self._lines = 0

    def tell(self, event: StreamEvent) -> list[Told]:
        """What this event becomes: often nothing."""
        return list(self._told_of(event))

    def _told_of(self, event: StreamEvent) -> Iterator[Told]:
        match event.type:
            case stream.QUEUED:
                yield from self._queued()
            case stream.STARTED:
                yield from self._in_progress()
            case stream.LLM_DELTA:
                delta = msgspec.json.decode(event.data, type=_Delta)
                yield from self._spoken(delta.call, delta.text)
            case stream.LLM_RESTARTED:
                yield from self._cut_off(msgspec.json.decode(event.data, type=_Delta).call)
            case stream.SNAPSHOT:
                is_queued = events.task_within(event).status is Status.QUEUED
                yield from self._queued() if is_queued else self._in_progress()
            case _ if event.is_final:
                yield from self._end(events.task_within(event))

    def _queued(self) -> Iterator[Told]:
        if "response.created" not in self._told:
            yield self._progress("response.created", "queued")
        if "response.queued" not in self._told:
            yield self._progress("response.queued", "queued")

    def _in_progress(self) -> Iterator[Told]:
        yield from self._queued()
        if "response.in_progress" not in self._told:
            yield self._progress("response.in_progress", "in_progress")

    def _progress(self, kind: str, status: ResponseStatus) -> Told:
        self._told.add(kind)
        return {"type": kind, "response": view_of(self._task, status=status)}

    def _spoken(self, call: str, text: str) -> Iterator[Told]:
        yield from self._in_progress()
        line = self._open.get(call)
        if line is None:
            line = self._open[call] = self._next_line()
            yield from line.begin()
        yield line.say(text)

    def _next_line(self) -> Line:
        line, self._lines = Line(self._task.id, self._lines), self._lines + 1
        return line

    def _cut_off(self, call: str) -> Iterator[Told]:
        line = self._open.pop(call, None)
        if line is not None:
            yield from line.end("incomplete")

    def _end(self, task: Task) -> Iterator[Told]:
        yield from self._in_progress()
        view = view_of(task)
        if task.status is Status.SUCCEEDED:
            answer = self._take_line_of(text_output(task))
            yield from self._end_lines("completed")
            yield from answer.finish(text_output(task))
            view = msgspec.structs.replace(view, output=[message_of(task, answer.index, answer.phase)])
        else:
            yield from self._end_lines("incomplete")
        yield {"type": _END_OF[task.status], "response": view}
        self._told -= {"response.queued", "response.in_progress"}  # a person may retry a dead letter

    def _take_line_of(self, answer: str) -> Line:
        """The line on which the answer was spoken, wholly or from its beginning on; else a new one."""
        for call, line in reversed(self._open.items()):
            if line.text and answer.startswith(line.text):
                return self._open.pop(call)
        return self._next_line()

    def _end_lines(self, status: LineStatus) -> Iterator[Told]:
        phase = "commentary" if status == "completed" else UNSET
        for line in self._open.values():
            yield from line.end(status, phase)
        self._open.clear()
