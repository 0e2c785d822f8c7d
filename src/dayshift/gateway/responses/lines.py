"""One message of a streamed response: what one model call says, or the answer that no model spoke."""

from collections.abc import Iterator
from typing import Any, Literal

from msgspec import UNSET, UnsetType

from dayshift.gateway.responses.names import output_id
from dayshift.gateway.responses.shapes import OutputMessage, OutputText

Told = dict[str, Any]
LineStatus = Literal["in_progress", "completed", "incomplete"]


class Line:
    """`begin`, `say` as often as there is something, `end`."""

    def __init__(self, task_id: str, index: int) -> None:
        self.index = index
        self.text = ""
        self._id = output_id(task_id, index)
        self._has_begun = False

    @property
    def phase(self) -> str | UnsetType:
        """The answer's, where other lines came before it."""
        return "final_answer" if self.index else UNSET

    def begin(self) -> Iterator[Told]:
        self._has_begun = True
        item = OutputMessage(id=self._id, status="in_progress", content=[])
        yield {"type": "response.output_item.added", "output_index": self.index, "item": item}
        yield {"type": "response.content_part.added", **self._place(), "part": OutputText(text="")}

    def say(self, text: str) -> Told:
        self.text += text
        return {"type": "response.output_text.delta", **self._place(), "delta": text, "logprobs": []}

    def finish(self, answer: str) -> Iterator[Told]:
        """Say what is left of the answer, and end."""
        if not self._has_begun:
            yield from self.begin()
        if len(answer) > len(self.text):
            yield self.say(answer[len(self.text) :])
        yield from self.end("completed", self.phase)

    def end(self, status: LineStatus, phase: str | UnsetType = UNSET) -> Iterator[Told]:
        part = OutputText(text=self.text)
        item = OutputMessage(id=self._id, status=status, content=[part], phase=phase)
        yield {"type": "response.output_text.done", **self._place(), "text": self.text, "logprobs": []}
        yield {"type": "response.content_part.done", **self._place(), "part": part}
        yield {"type": "response.output_item.done", "output_index": self.index, "item": item}

    def _place(self) -> Told:
        return {"item_id": self._id, "output_index": self.index, "content_index": 0}
