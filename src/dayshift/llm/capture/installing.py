"""Puts the capture into a process: into every HTTP library of the SDKs that is there."""

import importlib
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from importlib.util import find_spec

from dayshift.llm.capture.addresses import Addresses
from dayshift.llm.capture.httpx import install
from dayshift.llm.capture.threads import carried_into_threads
from dayshift.llm.capture.unseen import telling_of_unseen_calls

LIBRARIES = ("httpx2", "httpx")


@contextmanager
def capturing(addresses: Callable[[], Addresses]) -> Iterator[None]:
    """Capture the calls to these addresses that tasks of this process make, for as long as the block lasts."""
    found = [importlib.import_module(name) for name in LIBRARIES if find_spec(name) is not None]
    undoings = [install(library, addresses) for library in found]
    try:
        with carried_into_threads(), telling_of_unseen_calls(addresses):
            yield
    finally:
        for undo in undoings:
            undo()
