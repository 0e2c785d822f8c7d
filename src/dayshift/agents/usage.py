"""How long an attempt waited for providers."""


class CallMeter:
    """The calls of one attempt, by the time that each took."""

    __slots__ = ("_intervals",)

    def __init__(self) -> None:
        self._intervals: list[tuple[float, float]] = []

    def add(self, started_mono: float, ended_mono: float) -> None:
        """Count one call."""
        self._intervals.append((started_mono, ended_mono))

    @property
    def seconds(self) -> float:
        """The time in which at least one call was under way: calls side by side are not counted twice."""
        total, covered_until = 0.0, 0.0
        for started, ended in sorted(self._intervals):
            total += max(0.0, ended - max(started, covered_until))
            covered_until = max(covered_until, ended)
        return total
