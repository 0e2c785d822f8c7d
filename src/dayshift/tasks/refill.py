"""Refill: cold tasks of a lane come back into the hot plane, page by page."""

from dayshift.hotplane import Lane


class Refill:
    async def refill(self, lane: Lane) -> None:
        """Load the lane's next page from the ledger (`Claim.refill` names the lanes). Never raises DependencyAway."""
        raise NotImplementedError
