"""A town's worth of made-up memories: 250 people, one of whom remembers a tenth of everything."""

import itertools
import random
import uuid
from collections.abc import Iterator
from dataclasses import dataclass

from app.api_keys.issue import issue_key
from app.core.resources import Resources
from app.memory.ledger.new_memory import NewMemory
from app.memory.namespace import Namespace
from app.memory.remember import remember
from app.profiles.repository import ProfileRepository

NAMESPACES, BATCH, POOL = 200, 500, 3500
PEOPLE = ["Anna", "Ben", "Carla", "Deniz", "Elif", "Farid", "Greta", "Hugo", "Ines", "Jonas", "Kira", "Leon", "Mara"]
DID = ["visited", "painted", "lost", "repaired", "ordered", "sold", "dreamt of", "gave away", "asked about"]
THINGS = ["a blue bicycle", "the garden shed", "an old camera", "two tickets for the opera", "a bowl of lentil soup"]
THINGS += ["her passport", "the neighbour's cat", "a sailing boat", "a book on mushrooms", "a letter from Lisbon"]
PLACES = ["Bremen", "the mountains", "a small harbour", "the office", "grandmother's house", "Kyoto", "the market"]
WHEN = ["last spring", "on a Monday", "before the wedding", "after the storm", "in 2019", "when it snowed"]


def sentences(seed: int) -> Iterator[str]:
    """All different, in an order of their own."""
    parts = list(itertools.product(PEOPLE, DID, THINGS, PLACES, WHEN))
    random.Random(seed).shuffle(parts)
    return (f"{who} {did} {thing} in {place} {when}" for who, did, thing, place, when in parts)


@dataclass(frozen=True)
class Town:
    large: Namespace
    small: tuple[Namespace, ...]


async def found_town(resources: Resources) -> Town:
    key = await issue_key(resources.database, resources.key_pepper, name="bench", project_id=None)
    grant = await resources.keys.find(key)
    assert grant is not None
    homes = [await move_in(resources, grant.project_id, f"person {n}") for n in range(NAMESPACES + 1)]
    return Town(homes[0], tuple(homes[1:]))


async def move_in(resources: Resources, project_id: uuid.UUID, user_id: str) -> Namespace:
    async with resources.database.transaction(project_id) as tx:
        profile = await ProfileRepository(tx, project_id).default_of(user_id)
    return Namespace(project_id, user_id, profile.id)


class Corpus:
    """Grows through the public API. Its texts come from one pool, embedded once: a speaker's name, which is not
    embedded, makes each different, so that what takes time here is not the model."""

    def __init__(self, town: Town) -> None:
        self._town = town
        self._pool = list(itertools.islice(sentences(1), POOL))
        self._size = dict.fromkeys([town.large, *town.small], 0)

    async def grow(self, resources: Resources, total: int) -> None:
        await self._fill(resources, self._town.large, total // 10)
        for namespace in self._town.small:
            await self._fill(resources, namespace, (total - total // 10) // NAMESPACES)
        await resources.index_queue.settled(self._town.large.project_id, None)

    async def _fill(self, resources: Resources, namespace: Namespace, size: int) -> None:
        while (have := self._size[namespace]) < size:
            count = min(BATCH, size - have)
            await remember(resources, namespace, [NewMemory(self._text(have + n)) for n in range(count)])
            self._size[namespace] += count

    def _text(self, number: int) -> str:
        return f"{PEOPLE[number // POOL]}: {self._pool[number % POOL]}"
