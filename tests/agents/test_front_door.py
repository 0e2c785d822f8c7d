import dayshift
from dayshift import agents


def test_the_public_names_are_exactly_these_and_sorted():
    assert (
        dayshift.__all__
        == sorted(dayshift.__all__)
        == [
            "Breaker",
            "ChildFailed",
            "Client",
            "Context",
            "Fatal",
            "NotPerformed",
            "Retry",
            "TaskFailed",
            "ToolUnavailable",
            "agent",
            "current",
            "tool",
        ]
    )
    assert all(hasattr(dayshift, name) for name in dayshift.__all__)


def test_the_room_exports_what_it_lists_and_sorted():
    assert agents.__all__ == sorted(agents.__all__)
    assert all(hasattr(agents, name) for name in agents.__all__)
