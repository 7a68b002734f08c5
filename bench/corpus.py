"""A generated corpus of memories: 250 users, one of whom owns a tenth of it."""

import itertools
import random
import uuid
from collections.abc import Iterator
from dataclasses import dataclass

from app.api_keys.issue import issue_key
from app.core.resources import Resources
from app.memory.ledger import NewMemory
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
    """Distinct sentences in a fixed order."""
    parts = list(itertools.product(PEOPLE, DID, THINGS, PLACES, WHEN))
    random.Random(seed).shuffle(parts)
    return (f"{who} {did} {thing} in {place} {when}" for who, did, thing, place, when in parts)


@dataclass(frozen=True)
class Namespaces:
    large: Namespace
    small: tuple[Namespace, ...]


async def create_namespaces(resources: Resources) -> Namespaces:
    key = await issue_key(resources.database, resources.key_pepper, name="bench", project_id=None)
    grant = await resources.keys.find(key)
    assert grant is not None
    namespaces = [await create_namespace(resources, grant.project_id, f"person {n}") for n in range(NAMESPACES + 1)]
    return Namespaces(namespaces[0], tuple(namespaces[1:]))


async def create_namespace(resources: Resources, project_id: uuid.UUID, user_id: str) -> Namespace:
    async with resources.database.transaction(project_id) as tx:
        profile = await ProfileRepository(tx, project_id).default_of(user_id)
    return Namespace(project_id, user_id, profile.id)


class Corpus:
    """Grows through the public API. Its texts come from one pool that is embedded once: a speaker's name, which is
    not embedded, makes each text unique, so that the model does not dominate the time."""

    def __init__(self, namespaces: Namespaces) -> None:
        self._namespaces = namespaces
        self._pool = list(itertools.islice(sentences(1), POOL))
        self._size = dict.fromkeys([namespaces.large, *namespaces.small], 0)

    async def grow(self, resources: Resources, total: int) -> None:
        await self._fill(resources, self._namespaces.large, total // 10)
        for namespace in self._namespaces.small:
            await self._fill(resources, namespace, (total - total // 10) // NAMESPACES)
        await resources.index_queue.wait_until_indexed(self._namespaces.large.project_id, None)

    async def _fill(self, resources: Resources, namespace: Namespace, size: int) -> None:
        while (have := self._size[namespace]) < size:
            count = min(BATCH, size - have)
            await remember(resources, namespace, [NewMemory(self._text(have + n)) for n in range(count)])
            self._size[namespace] += count

    def _text(self, number: int) -> str:
        return f"{PEOPLE[number // POOL]}: {self._pool[number % POOL]}"
