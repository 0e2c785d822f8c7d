"""Lists: the shape that every list has, and how one is paged."""

from collections.abc import Callable, Sequence
from typing import Annotated, Any, TypeVar

from msgspec import Meta, Struct

from dayshift.domain import ids
from dayshift.domain.errors import FieldError, InvalidInput
from dayshift.gateway.replies import Reply, json_reply

Limit = Annotated[int, Meta(ge=1, le=100, description="How many to answer with.")]
After = Annotated[
    str, Meta(max_length=300, description="The last id (or name) that was seen; the list goes on after it.")
]

Item = TypeVar("Item")


def last_id(prefix: str) -> Meta:
    """What is added to `After` where a list goes by ids: how they look, for who reads the API's description."""
    return Meta(extra_json_schema={"pattern": ids.pattern(prefix)})


class Page(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The query of a list."""

    limit: Limit = 20
    after: After | None = None


def after_id(after: str | None, prefix: str, kind: str) -> str | None:
    """The id after which a page begins. `kind` says what such an id names. Raises `InvalidInput` for what is none."""
    if after is not None and not ids.is_valid(prefix, after):
        raise wrong_after(kind)
    return after


def wrong_after(kind: str) -> InvalidInput:
    """The error for a place in a list that there is not."""
    fault = FieldError(path="after", message=f"must be the id of {kind}, as a list gave it")
    return InvalidInput(f"after {fault.message}", [fault], code="invalid_query")


def list_reply(items: Sequence[Any], limit: int) -> Reply:
    """A page, made of up to `limit + 1` items: the one too many says that there is more."""
    return json_reply({"object": "list", "data": items[:limit], "has_more": len(items) > limit})


def by_name(items: Sequence[Item], name: Callable[[Item], str], page: Page) -> Reply:
    """A page of a short list that is in memory, in the order of names."""
    ordered = sorted(items, key=name)
    if page.after is not None:
        ordered = [item for item in ordered if name(item) > page.after]
    return list_reply(ordered[: page.limit + 1], page.limit)


def newest_first(items: Sequence[Item], identity: Callable[[Item], str], page: Page) -> Reply:
    """A page of a short list that is in memory, newest first: ids grow with time."""
    ordered = sorted(items, key=identity, reverse=True)
    if page.after is not None:
        ordered = [item for item in ordered if identity(item) < page.after]
    return list_reply(ordered[: page.limit + 1], page.limit)
