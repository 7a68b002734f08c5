"""Stores and entries for the contract suite of vector indexes."""

import math
import random
import uuid
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path

from qdrant_client import AsyncQdrantClient
from sqlalchemy import text

from app.adapters.vectors.pgvector import PgVectorIndex
from app.adapters.vectors.qdrant import QdrantIndex
from app.adapters.vectors.qdrant_edge import QdrantEdgeIndex
from app.core.database.database import Database
from app.core.ports import Candidate, IndexEntry, SearchScope, VectorIndex

EMBEDDER, DIMENSIONS = "test:embedder", 8
NEW_PROJECT = (
    "with o as (insert into organizations (name) values ('Test') returning id)"
    " insert into projects (organization_id, name) select id, 'Test' from o returning id"
)


@dataclass
class Store:
    """The storage of one adapter, which tests can open several times."""

    open: Callable[[str, int], Awaitable[VectorIndex]]
    new_project: Callable[[], Awaitable[uuid.UUID]]
    opened: list[VectorIndex] = field(default_factory=list)

    async def index(self, embedder: str = EMBEDDER, dimensions: int = DIMENSIONS) -> VectorIndex:
        self.opened.append(await self.open(embedder, dimensions))
        return self.opened[-1]

    async def reopened(self, embedder: str = EMBEDDER, dimensions: int = DIMENSIONS) -> VectorIndex:
        await self.close()
        return await self.index(embedder, dimensions)

    async def close(self) -> None:
        while self.opened:
            await self.opened.pop().close()


class LastingClient(AsyncQdrantClient):
    """The server outlives the adapter, so closing the adapter must not close it."""

    async def close(self, grpc_grace: float | None = None, **kwargs: object) -> None:
        return None


async def any_project() -> uuid.UUID:
    return uuid.uuid4()


def edge_store(folder: Path) -> Store:
    return Store(lambda embedder, size: QdrantEdgeIndex.open(folder, embedder, size), any_project)


def qdrant_store() -> Store:
    client = LastingClient(":memory:")
    return Store(lambda embedder, size: QdrantIndex.open(client, embedder, size), any_project)


def pgvector_store(database: Database) -> Store:
    return Store(lambda embedder, size: PgVectorIndex.open(database, embedder, size), partial(new_project_of, database))


async def new_project_of(database: Database) -> uuid.UUID:
    async with database.system() as tx:
        return uuid.UUID(str((await tx.execute(text(NEW_PROJECT))).scalar_one()))


async def empty_pgvector(database: Database) -> None:
    """All tests of a process share this index."""
    async with database.system() as tx:
        await tx.execute(text("delete from memory_vectors"))
        await tx.execute(
            text("update memory_vector_generations set embedder = null, dimensions = null, following = null")
        )


@dataclass
class NamespaceEntries:
    """A namespace and a source of entries for it."""

    project_id: uuid.UUID
    namespace: str
    randomness: random.Random = field(default_factory=lambda: random.Random(7))

    def entry(self, words: str, *parts: float, id: uuid.UUID | None = None) -> IndexEntry:
        vector = unit(*parts) if parts else self.direction()
        return IndexEntry(id or uuid.uuid4(), self.project_id, self.namespace, vector, words)

    def entries(self, count: int) -> list[IndexEntry]:
        return [self.entry(f"word{n} thing{n % 7} everything") for n in range(count)]

    def direction(self, dimensions: int = DIMENSIONS) -> list[float]:
        return unit(*(self.randomness.gauss(0, 1) for _ in range(dimensions)))

    def scope(self, only: Sequence[uuid.UUID] | None = None) -> SearchScope:
        return SearchScope(self.project_id, (self.namespace,), None if only is None else tuple(only))


def unit(*parts: float) -> list[float]:
    padded = [*parts, *[0.0] * (DIMENSIONS - len(parts))]
    length = math.hypot(*padded)
    return [part / length for part in padded]


def cosine(one: Sequence[float], other: Sequence[float]) -> float:
    return sum(a * b for a, b in zip(one, other, strict=True))


def by_id(candidates: Sequence[Candidate]) -> dict[uuid.UUID, Candidate]:
    assert len({each.id for each in candidates}) == len(candidates)
    return {each.id: each for each in candidates}
