"""The shop in which the agents of this folder work: it stands for the systems that tools look into and change.

Every deed is a line in the file that `SHOP_BOOK` names, so that anybody can count what was done to the world.
"""

import json
import os
from pathlib import Path
from typing import Any

QUESTION = "My order A-17 came broken, and B-4 never came at all. Please put that right."
INSTRUCTIONS = "You help the customers of a shop. Look things up before you act, one thing at a time."

ORDERS = {
    "A-17": {"order_id": "A-17", "item": "kettle", "paid_cents": 4900, "status": "delivered"},
    "B-4": {"order_id": "B-4", "item": "lamp", "paid_cents": 2500, "status": "lost"},
}
STOCK = {"kettle": 0, "lamp": 12}


def find_order(order_id: str) -> dict[str, Any]:
    write("find_order", order_id)
    return ORDERS[order_id]


def check_stock(item: str) -> int:
    write("check_stock", item)
    return STOCK[item]


def refund(order_id: str, amount_cents: int) -> str:
    write("refund", order_id, amount_cents)
    return receipt(order_id, amount_cents)


def reserve(order_id: str, item: str) -> str:
    write("reserve", order_id, item)
    return f"one {item} is put aside for {order_id}"


def receipt(order_id: str, amount_cents: int) -> str:
    return f"{amount_cents / 100:.2f} EUR of {order_id} paid back"


def write(*deed: Any) -> None:
    with book().open("a") as lines:
        lines.write(json.dumps(deed) + "\n")


def deeds() -> list[list[Any]]:
    """All that was done, in order."""
    return [json.loads(line) for line in book().read_text().splitlines()] if book().exists() else []


def book() -> Path:
    return Path(os.environ.get("SHOP_BOOK", "shop.jsonl"))
