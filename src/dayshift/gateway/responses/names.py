"""The ids of a response and of what is in it: all made of the id of its task, so none has to be kept."""

from dayshift.domain import ids
from dayshift.domain.errors import NotFound

RESPONSE = "resp_"
MESSAGE = "msg_"


def response_id(task_id: str) -> str:
    """How clients of this door name that task."""
    return RESPONSE + _bare(task_id)


def task_id_of(response: str) -> str:
    """The task that a response is. Raises `NotFound` for what cannot be the id of one."""
    bare = response.removeprefix(RESPONSE)
    task_id = f"{ids.TASK}{bare[:8]}-{bare[8:12]}-{bare[12:16]}-{bare[16:20]}-{bare[20:]}"
    if not response.startswith(RESPONSE) or not ids.is_valid(ids.TASK, task_id):
        raise no_such_response(response)
    return task_id


def no_such_response(response: str) -> NotFound:
    return NotFound(f"there is no response {response[:100]!r}")


def output_id(task_id: str, index: int) -> str:
    """The message at that place of a response's output."""
    return MESSAGE + _bare(task_id) + (f"_{index}" if index else "")


def input_id(task_id: str, index: int) -> str:
    """The item at that place of a response's input."""
    return f"{MESSAGE}{_bare(task_id)}_in{index}"


def _bare(task_id: str) -> str:
    return task_id.removeprefix(ids.TASK).replace("-", "")
