"""Requests to forget against 50 and 10 memories: are exactly the meant ones offered, and none where none fits?"""

import asyncio
from pathlib import Path

from bench.truth.service import Figures, Service, Statement
from bench.truth.wishes import FITTED, HELD_OUT, WishSet

FEW = 10


async def measure_forget(service: Service, _: Path) -> Figures:
    figures: Figures = {}
    for name, wishes in (("fitted", FITTED), ("held out", HELD_OUT)):
        for size in (FEW, len(wishes.memories)):
            figures[f"{name}, {size} memories"] = await _measure(service, f"{name} {size}", wishes, size)
    return figures


async def _measure(service: Service, user_id: str, wishes: WishSet, size: int) -> Figures:
    """Against few memories, only with wishes whose memories are all among them."""
    ids = await service.add(user_id, [Statement(text) for text in wishes.memories[:size]])
    asked = {wish: meant for wish, meant in wishes.wishes.items() if all(place < size for place in meant)}
    offered = await asyncio.gather(*(_offered(service, user_id, wish) for wish in asked))
    right = {wish: found == {ids[place] for place in asked[wish]} for wish, found in zip(asked, offered, strict=True)}
    some = [right[wish] for wish, meant in asked.items() if meant]
    none = [right[wish] for wish, meant in asked.items() if not meant]
    return {
        "exactly the right ones": round(sum(some) / len(some), 4),
        "nothing where nothing matches": round(sum(none) / len(none), 4),
        "wrong": [wish for wish, is_right in right.items() if not is_right],
    }


async def _offered(service: Service, user_id: str, wish: str) -> set[str]:
    body = {"message": wish, "user_id": user_id, "privacy_mode": "pause_memories"}
    question = (await service.post("/v1/chat", body))["forget"]
    return {each["id"] for each in question["memories"]} if question else set()
