"""What stands behind an exception: the errors that it was raised from or amid, and the responses that they carry."""

from collections.abc import Iterator


def causes_of(error: BaseException | None) -> Iterator[object]:
    """The error itself, whatever led to it, and for errors of the providers' SDKs the response that they were made of."""
    waiting, seen = [error], set[int]()
    while waiting:
        one = waiting.pop()
        if one is None or id(one) in seen:
            continue
        seen.add(id(one))
        yield one
        response = getattr(one, "response", None)
        if response is not None:
            yield response
        waiting += [one.__cause__, one.__context__]
        if isinstance(one, BaseExceptionGroup):
            waiting += one.exceptions
