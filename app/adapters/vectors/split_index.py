"""An index in two halves: a store of vectors outside, and the words of memories in Postgres.

Postgres says which collection of the store is in use, so that both halves change to a rebuilt one in one step.
"""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Mapping, Sequence
from typing import Protocol
from uuid import UUID, uuid4

from sqlalchemy.exc import SQLAlchemyError

from app.adapters.vectors.bm25 import WordSharesMixin
from app.adapters.vectors.candidates import (
    OTHER_EMBEDDER,
    REBUILD_REPLACED,
    Scores,
    merge_scores,
    missing_scores,
    resolve_vector,
)
from app.adapters.vectors.postgres_words import PostgresWords
from app.adapters.vectors.vector_collections import VectorCollection, VectorCollections
from app.core.database.database import Database
from app.core.errors import Conflict, Unavailable, UpstreamFailed
from app.core.ports import Candidate, IndexedId, IndexEntry, SearchScope, Vector


class CollectionMissingError(Unavailable):
    """A store raises it for a collection that it does not have."""

    def __init__(self) -> None:
        super().__init__(
            "The collection of the vector index was deleted from the vector store. Restart the server: it creates the"
            " collection again and fills it from the database."
        )


class VectorStoreClient(Protocol):
    """A store of vectors in named collections, which compares them by their cosine."""

    async def create_collection(self, name: str, dimensions: int) -> None: ...

    async def delete_collection(self, name: str) -> None:
        """Does nothing if there is none."""
        ...

    async def has_collection(self, name: str) -> bool: ...

    async def write(self, collection: str, entries: Sequence[IndexEntry]) -> None:
        """Adds or replaces. Each id occurs once in `entries`, which can be any number."""
        ...

    async def remove(self, collection: str, ids: Sequence[UUID]) -> None: ...

    async def settle(self, collection: str) -> None:
        """Waits until every later search, also of other processes, finds what this one wrote and removed."""
        ...

    async def find_similar(self, collection: str, scope: SearchScope, vector: Vector, limit: int) -> Scores: ...

    async def load_vectors(self, collection: str, project_id: UUID, ids: Sequence[UUID]) -> dict[UUID, Vector]: ...

    async def find_existing(self, collection: str, ids: Sequence[UUID]) -> set[UUID]: ...

    def iterate_entries(self, collection: str, batch: int) -> AsyncIterator[list[IndexedId]]: ...

    async def count(self, collection: str) -> int: ...

    async def close(self) -> None: ...


class SplitIndex(WordSharesMixin):
    shared = True
    needs_rebuild = False

    def __init__(
        self, client: VectorStoreClient, database: Database, store: str, name: str, embedder: tuple[str, int]
    ) -> None:
        self._client = client
        self._name = name
        self._embedder = embedder
        self._collections = VectorCollections(database, f"{store} {name}")
        self._words = PostgresWords(database, f"{store} {name}")
        self._current: VectorCollection | None = None
        self._removed: set[UUID] | None = None

    @classmethod
    async def open(
        cls, client: VectorStoreClient, database: Database, embedder: str, dimensions: int, *, store: str, name: str
    ) -> "SplitIndex":
        """`store` is the kind of the store, and `name` is what the names of its collections begin with."""
        index = cls(client, database, store, name, (embedder, dimensions))
        await index._ensure_current()
        return index

    async def upsert(self, entries: Sequence[IndexEntry]) -> None:
        if not entries:
            return
        targets = [each for each in (await self._load()).values() if each.built_with == self._embedder]
        if not targets or any(len(each.vector) != self._embedder[1] for each in entries):
            raise Unavailable(OTHER_EMBEDDER)
        for target in targets:
            await self.write_vectors(target.name, entries)
        await self._settle(targets)
        await self._words.upsert(entries, [each.id for each in targets])

    async def remove(self, ids: Sequence[UUID]) -> None:
        if not ids:
            return
        if self._removed is not None:
            self._removed.update(ids)
        targets = list((await self._load()).values())
        for target in targets:
            await self._client.remove(target.name, ids)
        await self._settle(targets)
        await self._words.remove(ids)

    async def find_candidates(
        self, scope: SearchScope, vector: Vector | Awaitable[Vector], text: str, limit: int
    ) -> list[Candidate]:
        weighed, dense = await asyncio.gather(self._words.weigh(scope, text), resolve_vector(vector))
        if weighed is None:
            return await self.find_similar(scope, dense, limit)
        by_meaning, by_words = await asyncio.gather(
            self._find_similar(scope, dense, limit), self._words.find_weighed(scope, weighed, limit)
        )
        unmeasured, uncounted = missing_scores(by_meaning, by_words, limit)
        similarities, scores = await asyncio.gather(
            self._find_similar(restrict_to(scope, unmeasured), dense, len(unmeasured)),
            self._find_weighed(restrict_to(scope, uncounted), weighed, len(uncounted)),
        )
        return merge_scores(by_meaning | similarities, by_words | scores)

    async def find_similar(self, scope: SearchScope, vector: Vector, limit: int) -> list[Candidate]:
        return merge_scores(await self._find_similar(scope, vector, limit), {})

    async def find_by_words(self, scope: SearchScope, text: str, limit: int) -> list[Candidate]:
        return merge_scores({}, await self._words.find_by_words(scope, text, limit))

    async def load_vectors(self, project_id: UUID, ids: Sequence[UUID]) -> dict[UUID, Vector]:
        return await self._client.load_vectors(self._known().name, project_id, ids) if ids else {}

    async def find_existing(self, ids: Sequence[UUID]) -> set[UUID]:
        return await self._client.find_existing((await self._refreshed()).name, ids) if ids else set()

    async def iterate_entries(self, batch: int = 1000) -> AsyncIterator[list[IndexedId]]:
        async for page in self._client.iterate_entries((await self._refreshed()).name, batch):
            yield page

    async def count(self) -> int:
        return await self._client.count((await self._refreshed()).name)

    async def built_with(self) -> tuple[str, int] | None:
        return (await self._refreshed()).built_with

    async def start_rebuild(self, embedder: str, dimensions: int) -> "SplitRebuild":
        """Replaces an unfinished rebuild, because nothing tells whether its process is still alive."""
        await self._collections.retire("following")
        await self.delete_retired()
        await self._add_collection("following", embedder, dimensions)
        following = (await self._load()).get("following")
        if following is None or following.built_with != (embedder, dimensions):
            raise Conflict(REBUILD_REPLACED)
        self._removed = set()
        return SplitRebuild(self, self._words, following, self._removed)

    async def run_housekeeping(self) -> None:
        """The store optimizes itself. Another process may have replaced the collection."""
        await self._load()

    async def healthy(self) -> bool:
        try:
            return await self._client.has_collection((await self._refreshed()).name)
        except (SQLAlchemyError, Unavailable, UpstreamFailed):
            return False

    async def close(self) -> None:
        await self._client.close()

    # ------------------------------------------------------------ collections

    async def write_vectors(self, collection: str, entries: Sequence[IndexEntry]) -> None:
        await self._client.write(collection, list({entry.id: entry for entry in entries}.values()))

    async def swap_in(self, following: VectorCollection) -> None:
        try:
            await self._settle([following])
        except CollectionMissingError as error:
            raise Conflict(REBUILD_REPLACED) from error
        await self._collections.swap(following.id)
        self._removed = None
        await self.delete_retired()

    async def abandon(self, following: VectorCollection) -> None:
        await self._collections.retire("following", following.id)
        await self.delete_retired()

    async def delete_retired(self) -> None:
        """Collections that are no longer used. What could not be deleted is tried again by the next rebuild."""
        await self._load()
        retired = [each for each in await self._collections.load() if each.state == "retired"]
        for each in retired:
            await self._client.delete_collection(each.name)
        await self._collections.delete(retired)

    async def _settle(self, collections: Sequence[VectorCollection]) -> None:
        await asyncio.gather(*(self._client.settle(each.name) for each in collections))

    async def _add_collection(self, state: str, embedder: str, dimensions: int) -> None:
        name = f"{self._name}_{uuid4().hex[:12]}"
        await self._client.create_collection(name, dimensions)
        if not await self._collections.add(name, embedder, dimensions, state=state):
            await self._client.delete_collection(name)

    async def _ensure_current(self) -> None:
        """Creates the first collection, or another one where that of the settings was deleted from the store."""
        current = (await self._load()).get("current")
        if current and await self._client.has_collection(current.name):
            return
        if current:
            await self._collections.retire("current", current.id)
            await self._collections.delete([current])
        await self._add_collection("current", *self._embedder)
        await self._load()

    async def _load(self) -> Mapping[str, VectorCollection]:
        """The collections in use by their state. A rebuild of another process adds one."""
        in_use = {each.state: each for each in await self._collections.load() if each.state != "retired"}
        self._current = in_use.get("current")
        return in_use

    async def _refreshed(self) -> VectorCollection:
        await self._load()
        return self._known()

    def _known(self) -> VectorCollection:
        if self._current is None:
            raise CollectionMissingError
        return self._current

    async def _find_similar(self, scope: SearchScope, vector: Vector, limit: int) -> Scores:
        if not limit:
            return {}
        current = self._known()
        try:
            return await self._search(current, scope, vector, limit)
        except CollectionMissingError:
            replacement = await self._refreshed()
            if replacement == current:
                raise
            return await self._search(replacement, scope, vector, limit)

    async def _search(self, collection: VectorCollection, scope: SearchScope, vector: Vector, limit: int) -> Scores:
        if len(vector) != collection.dimensions:
            raise Unavailable(OTHER_EMBEDDER)
        return await self._client.find_similar(collection.name, scope, vector, limit)

    async def _find_weighed(self, scope: SearchScope, weighed: str, limit: int) -> Scores:
        return await self._words.find_weighed(scope, weighed, limit) if limit else {}


class SplitRebuild:
    def __init__(
        self, index: SplitIndex, words: PostgresWords, following: VectorCollection, removed: set[UUID]
    ) -> None:
        self._index = index
        self._words = words
        self._following = following
        self._removed = removed

    async def upsert(self, entries: Sequence[IndexEntry]) -> None:
        """Inserts only: what has words already was written meanwhile and is newer."""
        kept = [entry for entry in entries if entry.id not in self._removed]
        missing = await self._words.insert_missing(kept, self._following.id)
        await self._index.write_vectors(self._following.name, [entry for entry in kept if entry.id in missing])

    async def swap(self) -> None:
        await self._index.swap_in(self._following)

    async def abandon(self) -> None:
        await self._index.abandon(self._following)


def restrict_to(scope: SearchScope, ids: Sequence[UUID]) -> SearchScope:
    return SearchScope(scope.project_id, scope.namespaces, tuple(ids))
