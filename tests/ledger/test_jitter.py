from hypothesis import given
from hypothesis import strategies as st

from dayshift.domain.jitter import full_jitter


@given(base=st.floats(0, 1e3), cap=st.floats(0, 1e6), failures=st.integers(-5, 10**6))
def test_a_delay_is_never_negative_and_never_beyond_the_cap(base, cap, failures):
    assert 0 <= full_jitter(base, cap, failures) <= cap


def test_the_range_doubles_with_each_failure_and_is_used_whole():
    for failures, ceiling in ((1, 2.0), (2, 4.0), (5, 32.0), (9, 60.0)):
        drawn = [full_jitter(2.0, 60.0, failures) for _ in range(2000)]
        assert ceiling * 0.95 < max(drawn) <= ceiling
        assert min(drawn) < ceiling * 0.05
