"""How to find out what became of a tool that an attempt died in: it must not be run again on the off chance."""

import shop

from dayshift import NotPerformed


async def find_refund(order_id: str, amount_cents: int) -> str:
    """What `refund` gave, if the shop's book has it."""
    if ["refund", order_id, amount_cents] in shop.deeds():
        return shop.receipt(order_id, amount_cents)
    raise NotPerformed
