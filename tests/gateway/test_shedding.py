"""The count of what is at work in a gateway."""

import pytest
from hypothesis import given
from hypothesis import strategies as st
from requests_by_hand import request

from dayshift.gateway.problems import HttpError, reply_to
from dayshift.gateway.shedding import Shedding

LENGTHS = st.one_of(st.none(), st.integers(0, 4 << 20), st.just(10**18))


def sized(length):
    return request(headers={} if length is None else {"content-length": str(length)})


@given(st.lists(st.one_of(LENGTHS.map(lambda length: ("begin", length)), st.just(("end", None))), max_size=60))
def test_places_are_never_more_than_there_are_and_all_come_back(steps):
    shedding, at_work = Shedding(most_at_work=20), []
    for step, length in steps:
        if step == "end":
            if at_work:
                work = at_work.pop()
                work.end()
                work.end()  # safe to repeat
            continue
        try:
            at_work.append(shedding.begin(sized(length)))
        except HttpError:
            assert at_work
        assert shedding.at_work <= 20
    for work in at_work:
        work.end()
    assert shedding.at_work == 0


def test_a_large_body_takes_the_places_of_many_small_ones():
    shedding = Shedding(most_at_work=400)
    small = shedding.begin(sized(100))
    assert shedding.at_work == 1
    shedding.begin(sized(400_000))
    assert shedding.at_work == 99
    small.end()
    assert shedding.at_work == 98


def test_the_refusal_says_when_to_come_back_and_not_all_at_once():
    shedding = Shedding(most_at_work=2)
    shedding.begin(sized(0))
    shedding.begin(sized(0))
    waits = set()
    for _ in range(50):
        with pytest.raises(HttpError) as refused:
            shedding.begin(sized(0))
        answer = dict(reply_to(refused.value).headers)
        assert 1 <= refused.value.retry_after_seconds <= 4
        waits.add(int(answer[b"retry-after"]))
    assert waits == {2, 3, 4}
