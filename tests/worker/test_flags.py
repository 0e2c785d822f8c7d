"""Feature flags of a running task: read when they are asked for, and the same for every attempt."""

from msgspec.structs import replace

from dayshift.domain.settings import FlagSettings, TenantSettings
from tests.worker.house import TENANT, agents_under_test, until, working


async def test_a_later_attempt_is_given_what_an_earlier_one_has_gone_by(house):
    async with working(house):
        task_id = await house.submit("reads_a_flag")
        await until(lambda: agents_under_test().SEEN.get(f"{task_id} old"))
        house.settings = replace(house.settings, flags={"new_prompt": FlagSettings(), "other": FlagSettings(value=7)})
        task = await house.finished(task_id)
        assert (bytes(task.output), task.attempt) == (b'["old",7,null]', 2)
        after = await house.finished(await house.submit("reads_a_flag_in_a_thread"))
    assert bytes(after.output) == b"true"
    assert f"{task_id} True" not in agents_under_test().SEEN


async def test_a_tenant_has_values_of_its_own(house):
    house.settings = replace(
        house.settings,
        flags={"new_prompt": FlagSettings(percent=0)},
        tenants={TENANT: TenantSettings(flags={"new_prompt": "theirs"})},
    )
    async with working(house):
        task = await house.finished(await house.submit("reads_a_flag_in_a_thread"))
    assert bytes(task.output) == b'"theirs"'
