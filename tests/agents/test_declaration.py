import pytest

from dayshift import Context, agent
from dayshift.agents.declaration import declaration_of
from dayshift.domain.errors import WrongUse


async def test_an_agent_stays_the_function_that_it_was():
    @agent(name="adder", queue="sums", timeout=5, max_attempts=2)
    async def add(ctx: Context, first: int, second: int = 1) -> int:
        """Add."""
        assert ctx.task_id == "local"
        return first + second

    assert add.__doc__ == "Add."
    assert await add(Context.local(), 2) == 3
    declaration = declaration_of(add)
    assert declaration is not None
    assert (declaration.name, declaration.queue, declaration.timeout_seconds, declaration.max_attempts) == (
        "adder",
        "sums",
        5,
        2,
    )


def test_it_works_without_parentheses_and_on_plain_functions():
    @agent
    def shout(text: str) -> str:
        return text.upper()

    assert shout("a") == "A"
    declaration = declaration_of(shout)
    assert declaration is not None
    assert (declaration.name, declaration.queue, declaration.timeout_seconds) == ("shout", "default", 300)


@pytest.mark.parametrize(
    ("options", "word"),
    [
        ({"name": ""}, "name"),
        ({"name": "a b"}, "name"),
        ({"name": "x" * 101}, "name"),
        ({"queue": "q/1"}, "queue"),
        ({"timeout": 0}, "timeout"),
        ({"timeout": float("nan")}, "timeout"),
        ({"timeout": float("inf")}, "timeout"),
        ({"timeout": "5"}, "timeout"),
        ({"max_attempts": 0}, "max_attempts"),
        ({"max_attempts": 1.5}, "max_attempts"),
    ],
)
def test_a_wrong_option_is_refused_with_its_name(options, word):
    def f(): ...

    with pytest.raises(WrongUse, match=f"{word}="):
        agent(**options)(f)


def test_only_functions_that_return_are_agents():
    with pytest.raises(WrongUse, match=r"ctx\.emit"):

        @agent
        async def parts():
            yield 1

    with pytest.raises(WrongUse, match="functions only"):
        agent(print)
