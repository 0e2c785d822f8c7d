"""How often the parked look whether their provider is back."""

import pytest

from dayshift.domain.errors import PlaneAway
from dayshift.llm.looking_again import LONGEST_SECONDS, LookingAgain


class Parked:
    def __init__(self, number):
        self.number = number

    async def count_parked(self, provider):
        if self.number is None:
            raise PlaneAway("away")
        return self.number


async def looks(number):
    """When some of them look, from the moment that it may be worth while."""
    looking = LookingAgain(Parked(number))
    return [await looking.after_seconds("p", soonest_seconds=5.0, open_seconds=30.0) - 5.0 for _ in range(1_000)]


@pytest.mark.parametrize(
    ("number", "spread_seconds"), [(None, 30), (0, 7.5), (1, 7.5), (4, 30), (40, 300), (100_000, LONGEST_SECONDS)]
)
async def test_many_look_as_often_together_as_a_few(number, spread_seconds):
    waits = await looks(number)
    assert min(waits) >= 0
    assert 0.9 * spread_seconds < max(waits) <= spread_seconds
    assert sum(waits) / len(waits) == pytest.approx(spread_seconds / 2, rel=0.15)
