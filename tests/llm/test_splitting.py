"""Events out of bytes, however they are cut, and a bound for those that do not end."""

import time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dayshift.llm.formats import EventSplitter, StreamTooLong, sse

ENDS = [b"\n\n", b"\r\n\r\n", b"\r\r"]
events = st.lists(
    st.tuples(st.binary(min_size=1).filter(lambda raw: not set(raw) & set(b"\r\n")), st.sampled_from(ENDS))
)


@given(events, st.data())
def test_where_it_is_cut_does_not_matter(sent, data):
    stream = b"".join(b"data: " + text + end for text, end in sent)
    cuts = sorted(data.draw(st.lists(st.integers(0, len(stream)), max_size=8)))
    splitter, found = EventSplitter(), []
    for start, end in zip([0, *cuts], [*cuts, len(stream)], strict=True):
        found += splitter.feed(stream[start:end])
    assert [event.raw for event in found] == [b"data: " + text + end for text, end in sent]
    assert splitter.rest == b""


def test_an_event_without_an_end_is_given_up_and_costs_only_what_it_is_long():
    splitter, piece, began = EventSplitter(), b" " * 4096, time.process_time()
    with pytest.raises(StreamTooLong):
        for _piece in range(sse.LONGEST_EVENT_BYTES // len(piece) + 1):
            assert list(splitter.feed(piece)) == []
    assert time.process_time() - began < 5


def test_a_stream_without_an_end_is_given_up(monkeypatch):
    monkeypatch.setattr(sse, "LONGEST_STREAM_BYTES", 10_000)
    splitter = EventSplitter()
    with pytest.raises(StreamTooLong):
        for _event in range(2_000):
            assert len(list(splitter.feed(b": ping\n\n"))) == 1
