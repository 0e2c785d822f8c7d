"""The history of a conversation, as an agent meets it: what is replayed, and what an agent may say."""

import asyncio

import pytest

from dayshift import Context
from dayshift.agents import Conversation, Effects
from dayshift.agents.conversation import LocalHistory
from dayshift.domain.effect import Effect
from dayshift.domain.errors import WrongUse
from dayshift.journal import AttemptJournal


class Store(LocalHistory):
    """A history, and the journal that later attempts load."""

    def __init__(self) -> None:
        super().__init__()
        self.effects: list[Effect] = []

    async def write(self, effect: Effect, *, handed_on: bool = False, wait_seconds: float | None = None) -> Effect:
        self.effects.append(effect)
        return await super().write(effect, handed_on=handed_on)

    def attempt(self, number: int, known: int | None = None) -> Conversation:
        """The conversation of an attempt that finds so many effects in its journal (None: all)."""
        journal = AttemptJournal(self, task_id="t", attempt=number, effects=self.effects[:known], may_act=lambda: None)
        return Conversation("c", Effects(journal, asyncio.get_running_loop()), self.read)


async def test_what_was_appended_is_there_in_order():
    conversation = Context.local(conversation="c").conversation
    assert await conversation.messages() == []
    for message in ({"role": "user", "content": "hi"}, "hi", "hi", None, 5):
        await conversation.append(message)
    assert await conversation.messages() == [{"role": "user", "content": "hi"}, "hi", "hi", None, 5]
    assert await conversation.messages(last=2) == [None, 5]


def test_a_plain_agent_has_it_without_awaiting():
    conversation = Context.local(conversation="c").conversation
    conversation.append("hi")
    assert conversation.messages() == ["hi"]


def test_outside_of_conversations_there_is_none():
    assert Context.local().conversation is None


async def test_a_later_attempt_reads_what_the_first_one_read_and_appends_nothing_twice():
    store = Store()
    await store.attempt(1).append("of an earlier task")
    store.effects.clear()

    async def run(conversation: Conversation) -> list[list[str]]:
        before = await conversation.messages()
        await conversation.append("question")
        between = await conversation.messages()
        await conversation.append("answer")
        return [before, between, await conversation.messages(last=1)]

    told = await run(store.attempt(1))
    assert told == [["of an earlier task"], ["of an earlier task", "question"], ["answer"]]
    written = len(store.effects)
    assert await run(store.attempt(2)) == told
    assert len(store.effects) == written
    history = await store.read(None, None)
    assert history.messages == [b'"of an earlier task"', b'"question"', b'"answer"']


@pytest.mark.parametrize("known", range(4))
async def test_an_attempt_goes_on_wherever_the_one_before_died(known):
    store = Store()

    async def run(conversation: Conversation) -> list[str]:
        await conversation.append("question")
        await conversation.append({"asked": await conversation.messages()})
        return await conversation.messages()

    told = await run(store.attempt(1))
    whole = list(store.effects)
    again = Store()
    again.effects = whole[:known]
    for effect in again.effects:
        await LocalHistory.write(again, effect)
    assert await run(again.attempt(2)) == told == ["question", {"asked": ["question"]}]


async def test_equal_messages_are_as_many_as_were_appended():
    store = Store()
    for attempt in (1, 2):
        conversation = store.attempt(attempt)
        await asyncio.gather(*(conversation.append("same") for _ in range(3)))
    assert len((await store.read(None, None)).messages) == 3


@pytest.mark.parametrize("message", [float("nan"), object(), "\ud800"])
async def test_what_json_cannot_say_is_no_message(message):
    with pytest.raises(WrongUse, match=r"ctx\.conversation\.append"):
        await Context.local(conversation="c").conversation.append(message)


@pytest.mark.parametrize("last", [0, -1, True, 1.5, "2"])
async def test_the_last_messages_are_counted_from_one(last):
    with pytest.raises(WrongUse, match="whole number"):
        await Context.local(conversation="c").conversation.messages(last=last)
