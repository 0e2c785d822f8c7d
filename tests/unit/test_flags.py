"""Feature flags: a task stays on its side, a share is a share, and a tenant's own value wins."""

from hypothesis import given
from hypothesis import strategies as st
from msgspec import UNSET

from dayshift.domain.flags import flag_value, side_of
from dayshift.domain.settings import FlagSettings, Settings, TenantSettings

TASKS = [f"task_{number}" for number in range(4_000)]


def value_for(settings: Settings, task_id: str = "task_1", tenant: str = "acme") -> object:
    return flag_value(settings, "new_prompt", tenant=tenant, task_id=task_id)


def test_a_flag_that_nobody_set_says_nothing() -> None:
    assert value_for(Settings()) is UNSET


def test_a_flag_is_for_everybody_unless_it_says_for_how_many() -> None:
    settings = Settings(flags={"new_prompt": FlagSettings(value={"version": 2})})
    assert all(value_for(settings, task) == {"version": 2} for task in TASKS)


def test_a_share_is_that_share_of_the_tasks() -> None:
    for percent in (0, 10, 50, 100):
        settings = Settings(flags={"new_prompt": FlagSettings(percent=percent)})
        with_it = sum(value_for(settings, task) is True for task in TASKS)
        assert abs(with_it / len(TASKS) * 100 - percent) < 2


@given(task=st.text(), lower=st.floats(0, 100), higher=st.floats(0, 100))
def test_who_has_it_keeps_it_when_the_share_grows(task: str, lower: float, higher: float) -> None:
    lower, higher = sorted((lower, higher))
    at = [
        value_for(Settings(flags={"new_prompt": FlagSettings(percent=percent)}), task) is True
        for percent in (lower, higher)
    ]
    assert at != [True, False]


def test_flags_are_rolled_out_to_different_tasks() -> None:
    first, second = ({task for task in TASKS if side_of(name, task) < 50} for name in ("one", "other"))
    assert 0.4 < len(first & second) / len(first) < 0.6


def test_a_tenants_own_value_wins_and_so_does_that_of_all_tenants() -> None:
    settings = Settings(
        flags={"new_prompt": FlagSettings(percent=0)},
        tenants={
            "acme": TenantSettings(flags={"new_prompt": False}),
            "*": TenantSettings(flags={"new_prompt": "beta"}),
        },
    )
    assert value_for(settings) is False
    assert value_for(settings, tenant="other") == "beta"
