"""An answer where no provider gave one: a true HTTP response in the words of the provider that was called, so that its SDK raises
its own exception. `x-should-retry: false` keeps the SDK from asking again what we have asked often enough.
"""

from dayshift.llm.capture.answers import Answer
from dayshift.llm.formats import ErrorKind, Format


def no_answer(api: Format, kind: ErrorKind, message: str, *, retry_after_seconds: float | None = None) -> Answer:
    """`retry_after_seconds` is passed on to whoever looks at the headers; no SDK waits for it."""
    status, body = api.error_body(message, kind)
    headers = [("content-type", "application/json"), ("x-should-retry", "false")]
    if retry_after_seconds is not None:
        headers.append(("retry-after", f"{max(retry_after_seconds, 0.0):.3f}"))
    return Answer(status=status, headers=headers, body=body)
