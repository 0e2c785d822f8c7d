"""The bucket behind every limit per minute: it refills all the time and never holds more than its depth.

Whatever is taken, over any window of W seconds it is at most depth + rate x W; an amount above the depth is let through by a
full bucket only, and leaves a debt that the refill pays. A refused call takes nothing. The clock is the caller's.
"""


class Bucket:
    """So much a minute, in continuous refill."""

    __slots__ = ("_at", "_balance", "depth", "per_minute", "per_second")

    def __init__(self, per_minute: float, depth: float, now: float) -> None:
        self.per_minute = per_minute
        self.per_second = per_minute / 60
        self.depth = depth
        self._balance = depth
        self._at = now

    def balance(self, now: float) -> float:
        """What can be taken now; below zero is debt."""
        if now > self._at:
            self._balance = min(self.depth, self._balance + (now - self._at) * self.per_second)
            self._at = now
        return self._balance

    def wait_seconds(self, amount: float, now: float) -> float:
        """How long until so much can be taken; 0 is now."""
        missing = min(amount, self.depth) - self.balance(now)
        # What rounding leaves missing is not worth a refusal: a caller who waited as told comes in.
        return missing / self.per_second if missing > 1e-6 else 0.0

    def take(self, amount: float, now: float) -> None:
        """Take it, into debt if need be. A negative amount gives back, up to the depth."""
        self._balance = min(self.depth, self.balance(now) - amount)

    def full_in_seconds(self, now: float) -> float:
        """How long until it is full again, if nobody takes."""
        return (self.depth - self.balance(now)) / self.per_second
