"""What an attempt must end by, it ends by: SDKs that try again and code that catches everything change nothing."""

from pathlib import Path

import asyncpg
import msgspec
import pytest

from dayshift.domain.effect import EffectStatus
from dayshift.domain.task import Status
from dayshift.journal.results import pack
from tests.fakellm.process import fake_provider
from tests.worker.house import TENANT, until, working
from tests.worker.test_lost_leases import until_listed


@pytest.fixture
def provider(monkeypatch):
    with fake_provider() as provider:
        monkeypatch.setenv("OPENAI_API_KEY", "k")
        monkeypatch.setenv("OPENAI_BASE_URL", f"{provider.url}/v1")
        yield provider


@pytest.fixture
def log(house, tmp_path):
    house.agents = Path(__file__).with_name("stubborn_agents.py")
    return tmp_path / "log"


async def test_an_unknown_outcome_makes_a_dead_letter_though_the_agent_goes_on(house, provider, log):
    async with working(house):
        task = await house.finished(await house.submit("pays_and_goes_on", log=str(log)))
    assert (task.status, task.error.code) == (Status.FAILED, "unknown_outcome")
    assert "tool pay" in task.error.message
    assert log.read_text().splitlines() == ["paid", "told: UnknownOutcome", "could not ask"]
    assert provider.stats()["received"] == 0
    [effect] = await house.ledger.effects.of_task(task.id)
    assert (effect.status, effect.attempt, effect.replayed_by) == (EffectStatus.UNKNOWN, 1, None)
    assert f"/v1/tasks/{task.id}/effects/{effect.id}/resolve" in task.error.message


async def test_an_outcome_that_nobody_knows_stays_unknown_however_often_the_task_is_retried(house, provider, log):
    """After a kill amid the tool: each retry asks for the same word of a person, and does nothing."""
    worker = house.start_process()
    try:
        await until_listed(house, 1)
        task_id = await house.submit("pays", log=str(log))
        await until(lambda: log.exists() and "paid" in log.read_text())
        [row] = await house.ledger.workers.list()
    finally:
        worker.kill()
        worker.wait()
    await house.services.rescue.rescue_worker(row.id, "killed")
    async with working(house):
        for attempt in (2, 3, 4):
            task = await house.finished(task_id)
            assert (task.status, task.error.code, task.attempt) == (Status.FAILED, "unknown_outcome", attempt)
            assert "was begun in attempt 1" in task.error.message
            [effect] = await house.ledger.effects.of_task(task_id)
            assert (effect.status, effect.attempt, effect.replayed_by) == (EffectStatus.UNKNOWN, 1, None)
            if attempt == 4:
                await house.ledger.effects.settle(TENANT, task_id, effect.id, pack(b'"receipt 9"'))
            await house.services.control.retry(task_id, TENANT)
        task = await house.finished(task_id)
    assert (task.status, bytes(task.output), task.losses) == (Status.SUCCEEDED, b'"receipt 9"', 1), task.error
    assert log.read_text().splitlines() == ["begins", "paid", "begins", "begins", "begins", "begins"]
    [effect] = await house.ledger.effects.of_task(task_id)
    assert (effect.status, effect.replayed_by) == (EffectStatus.DONE, 5)


async def test_what_was_not_performed_is_done_by_the_next_retry_and_only_then(house, provider, log):
    async with working(house):
        task = await house.finished(await house.submit("pays_and_goes_on", log=str(log)))
        [effect] = await house.ledger.effects.of_task(task.id)
        await house.ledger.effects.settle(TENANT, task.id, effect.id, None)
        await house.services.control.retry(task.id, TENANT)
        again = await house.finished(task.id)
    assert log.read_text().splitlines().count("paid") == 2
    assert (again.status, again.error.code) == (Status.FAILED, "unknown_outcome")  # it died amid it once more


async def test_a_strict_agent_stops_though_it_goes_on(house, provider, log):
    async with working(house):
        task = await house.finished(await house.submit("differs_and_goes_on", log=str(log)))
    assert (task.status, task.error.code, task.attempt) == (Status.FAILED, "diverged", 2)
    assert "its input differs" in task.error.message
    assert log.read_text().splitlines() == ["could not ask"]
    assert provider.stats()["received"] == 1


async def test_a_call_that_adds_to_a_conversation_is_not_made_blindly_twice(house, provider, log):
    provider.script({"latency": 30})
    async with working(house) as worker:
        task_id = await house.submit("adds_to_a_conversation", log=str(log))
        await until(lambda: provider.stats()["open"])
        await house.services.rescue.rescue_worker(worker.worker_id, "test")
        task = await house.finished(task_id)
        assert (task.status, task.error.code) == (Status.FAILED, "unknown_outcome")
        assert "was sent to a conversation that the provider keeps" in task.error.message
        assert provider.stats()["received"] == 1
        [effect] = await house.ledger.effects.of_task(task_id)
        assert effect.status is EffectStatus.UNKNOWN
        await settle_and_retry(house, task_id, effect.id, {"output": [message("it was there")]})
        task = await house.finished(task_id)
    assert (task.status, msgspec.json.decode(task.output)) == (Status.SUCCEEDED, "it was there"), task.error
    assert provider.stats()["received"] == 1


async def test_a_call_that_adds_to_a_conversation_and_was_refused_is_made_again(house, provider, log):
    """The refusal ends the attempt, but leaves no doubt."""
    provider.script({"status": 403, "times": 1}, {"answer": "now there is room"})
    async with working(house):
        task = await house.finished(await house.submit("adds_to_a_conversation", log=str(log)))
    assert (task.status, task.attempt, task.failures) == (Status.SUCCEEDED, 2, 1), task.error
    assert provider.stats()["received"] == 2
    effects = await house.ledger.effects.of_task(task.id)
    assert [(effect.status, effect.attempt) for effect in effects] == [(EffectStatus.FAILED, 1), (EffectStatus.DONE, 2)]


async def test_an_answer_that_the_agent_did_not_wait_for_is_recorded(house, provider, log):
    async with working(house):
        task_id = await house.submit("leaves_while_it_is_recorded", log=str(log))
        connection = await asyncpg.connect(house.database_url)
        async with connection.transaction():
            # an effect cannot be written while a start could be: stands for a ledger that is slow
            await connection.execute("LOCK TABLE effects IN EXCLUSIVE MODE")
            await until(lambda: log.exists())
        await connection.close()
        task = await house.finished(task_id)
    assert task.status is Status.SUCCEEDED, task.error
    assert (task.usage.llm_calls, task.usage.replayed_calls) == (2, 1)
    assert [call["n_answered"] for call in provider.calls()] == [2]


async def test_an_attempt_that_failed_amid_a_stream_is_followed_by_one_that_reads_it_whole(house, provider, log):
    provider.script({"answer": "a whole answer"})
    async with working(house):
        task = await house.finished(await house.submit("fails_amid_a_stream"))
    assert (task.status, task.attempt) == (Status.SUCCEEDED, 2), task.error
    assert msgspec.json.decode(task.output) == "a whole answer"


async def test_a_stream_that_was_left_is_left_again_where_it_was(house, provider, log):
    async with working(house):
        task = await house.finished(await house.submit("leaves_a_stream"))
    assert (task.status, task.attempt) == (Status.SUCCEEDED, 2), task.error
    assert [call["n_received"] for call in provider.calls()] == [1, 1]
    assert (task.usage.llm_calls, task.usage.replayed_calls) == (2, 2)


async def test_a_plain_client_on_the_event_loop_is_refused_and_blocks_nobody(house, provider, log):
    async with working(house):
        task = await house.finished(await house.submit("asks_by_a_plain_client", options={"timeout": 20}))
    assert (task.status, task.error.code, task.attempt) == (Status.FAILED, "wrong_use", 1)
    assert "a plain client was used on the event loop" in task.error.message
    assert provider.stats()["received"] == 0


def message(text):
    content = [{"type": "output_text", "text": text, "annotations": []}]
    return {"type": "message", "id": "msg_1", "status": "completed", "role": "assistant", "content": content}


async def settle_and_retry(house, task_id, effect_id, response):
    await house.ledger.effects.settle(TENANT, task_id, effect_id, pack(msgspec.json.encode(response)))
    await house.services.control.retry(task_id, TENANT)
