"""The default vector index: Qdrant Edge in this process.

Measured on two cores: every call holds the GIL throughout, so a thread would add a hop of 0.1 ms to a search of 0.2 ms
and let nothing else run. `optimize()` blocks for at least 0.5 s, and for 1.4 to 4 s with 100,000 memories. So it runs
at the start and, while serving, only after a quiet period and if there is much to gain.
"""

import asyncio
import time
from collections.abc import AsyncIterator, Awaitable, Iterator, Sequence
from contextlib import ExitStack
from pathlib import Path
from typing import IO, TypeVar
from uuid import UUID

from qdrant_edge import Filter, UpdateMode

from app.adapters.vectors.bm25 import WordSharesMixin, query_terms
from app.adapters.vectors.candidates import (
    OTHER_EMBEDDER,
    REBUILD_REPLACED,
    merge_scores,
    missing_scores,
    resolve_vector,
)
from app.adapters.vectors.edge_folder import lock_folder, next_name, open_current, point_to, require_space_to_load
from app.adapters.vectors.edge_shard import (
    Generation,
    corpus_filter,
    dense_request,
    restrict_to,
    words_request,
)
from app.core.database.disk_space import DiskSpace
from app.core.errors import Conflict, Unavailable
from app.core.ports import Candidate, IndexedId, IndexEntry, SearchScope, Vector

Item = TypeVar("Item")
# Writing a point takes 60 µs: other tasks run between two steps.
STEP_SIZE = 200
# A smaller index is about as fast without being optimized.
WORTH_OPTIMIZING = 50_000
QUIET_SECONDS = 30.0


class QdrantEdgeIndex(WordSharesMixin):
    shared = False

    def __init__(
        self,
        folder: Path,
        lock: IO[bytes],
        current: Generation,
        embedder: tuple[str, int],
        *,
        worth_optimizing: int,
        quiet_seconds: float,
    ) -> None:
        self._folder = folder
        self._lock = lock
        self._current = current
        self.needs_rebuild = current.was_changed
        self._embedder = embedder
        self._worth_optimizing = worth_optimizing
        self._quiet_seconds = quiet_seconds
        self.disk_space = DiskSpace(folder)
        self._rebuild: EdgeRebuild | None = None
        self._last_used = time.monotonic()

    @classmethod
    async def open(
        cls,
        path: Path,
        embedder: str,
        dimensions: int,
        *,
        worth_optimizing: int = WORTH_OPTIMIZING,
        quiet_seconds: float = QUIET_SECONDS,
    ) -> "QdrantEdgeIndex":
        """Opens an index of another embedder, too: `built_with` tells, and a rebuild replaces it."""
        lock = lock_folder(path)
        with ExitStack() as unless_opened:
            unless_opened.callback(lock.close)
            require_space_to_load(path)
            current = open_current(path, embedder, dimensions)
            unless_opened.pop_all()
        made = (embedder, dimensions)
        index = cls(path, lock, current, made, worth_optimizing=worth_optimizing, quiet_seconds=quiet_seconds)
        index._optimize_if_worthwhile()
        return index

    async def upsert(self, entries: Sequence[IndexEntry]) -> None:
        self._last_used = time.monotonic()
        for step in in_steps(entries):
            targets = [each for each in self._generations() if each.built_with == self._embedder]
            if not targets:
                raise Unavailable(OTHER_EMBEDDER)
            self.disk_space.require()
            for target in targets:
                target.upsert(step)
            await asyncio.sleep(0)

    async def remove(self, ids: Sequence[UUID]) -> None:
        self._last_used = time.monotonic()
        for step in in_steps(ids):
            self.disk_space.require()
            for generation in self._generations():
                generation.remove(step)
            if self._rebuild:
                self._rebuild.removed.update(step)
            await asyncio.sleep(0)

    async def find_candidates(
        self, scope: SearchScope, vector: Vector | Awaitable[Vector], text: str, limit: int
    ) -> list[Candidate]:
        self._last_used = time.monotonic()
        corpus = corpus_filter(scope)
        where, terms = search_filter(scope, corpus), query_terms(text)
        has_terms = bool(terms.indices)
        # Words first: the vector may still be on its way.
        by_words = self._current.search(words_request(terms, where, corpus, limit)) if has_terms else {}
        dense = await resolve_vector(vector)
        by_meaning = self._current.search(dense_request(dense, where, limit))
        if has_terms:
            unmeasured, uncounted = missing_scores(by_meaning, by_words, limit)
            if unmeasured:
                request = dense_request(dense, restrict_to(unmeasured, corpus), len(unmeasured))
                by_meaning |= self._current.search(request)
            if uncounted:
                request = words_request(terms, restrict_to(uncounted, corpus), corpus, len(uncounted))
                by_words |= self._current.search(request)
        return merge_scores(by_meaning, by_words)

    async def find_similar(self, scope: SearchScope, vector: Vector, limit: int) -> list[Candidate]:
        self._last_used = time.monotonic()
        where = search_filter(scope, corpus_filter(scope))
        return merge_scores(self._current.search(dense_request(vector, where, limit)), {})

    async def find_by_words(self, scope: SearchScope, text: str, limit: int) -> list[Candidate]:
        self._last_used = time.monotonic()
        corpus, terms = corpus_filter(scope), query_terms(text)
        if not terms.indices:
            return []
        request = words_request(terms, search_filter(scope, corpus), corpus, limit)
        return merge_scores({}, self._current.search(request))

    async def load_vectors(self, project_id: UUID, ids: Sequence[UUID]) -> dict[UUID, Vector]:
        self._last_used = time.monotonic()
        return self._current.load_vectors(project_id, ids) if ids else {}

    async def find_existing(self, ids: Sequence[UUID]) -> set[UUID]:
        return self._current.find_existing(ids) if ids else set()

    async def iterate_entries(self, batch: int = 1000) -> AsyncIterator[list[IndexedId]]:
        page, following = self._current.page(None, batch)
        while page:
            yield page
            if following is None:
                return
            page, following = self._current.page(following, batch)

    async def count(self) -> int:
        return self._current.count()

    async def built_with(self) -> tuple[str, int] | None:
        return self._current.built_with

    async def start_rebuild(self, embedder: str, dimensions: int) -> "EdgeRebuild":
        """Replaces an unfinished rebuild."""
        self.disk_space.require()
        if self._rebuild:
            await self._rebuild.abandon()
        folder = self._folder / next_name(self._folder)
        self._rebuild = EdgeRebuild(self, Generation.create(folder, embedder, dimensions))
        return self._rebuild

    async def run_housekeeping(self) -> None:
        if self.disk_space.is_low():
            return
        self._current.flush()
        if time.monotonic() - self._last_used >= self._quiet_seconds:
            self._optimize_if_worthwhile()

    async def healthy(self) -> bool:
        try:
            self._current.count_unoptimized()
        except Unavailable:
            return False
        return True

    async def close(self) -> None:
        if self._rebuild:
            await self._rebuild.abandon()
        self._current.close()
        self._lock.close()

    def _optimize_if_worthwhile(self) -> None:
        unoptimized = self._current.count_unoptimized()
        if unoptimized >= self._worth_optimizing and self.disk_space.has_room(
            self._current.optimized_size(unoptimized)
        ):
            self._current.optimize()

    def _generations(self) -> list[Generation]:
        return [self._current, self._rebuild.generation] if self._rebuild else [self._current]

    def swap_in(self, rebuild: "EdgeRebuild", rebuilt: Generation) -> None:
        """The pointer file decides which generation opens after a crash, so replacing it is the swap."""
        if not self.end_rebuild(rebuild):
            raise Conflict(REBUILD_REPLACED)
        rebuilt.flush()
        old = self._current
        point_to(self._folder, rebuilt.folder)
        self._current, self.needs_rebuild = rebuilt, False
        old.destroy()

    def end_rebuild(self, rebuild: "EdgeRebuild") -> bool:
        """Returns False if another rebuild has replaced it."""
        if self._rebuild is not rebuild:
            return False
        self._rebuild = None
        return True


class EdgeRebuild:
    """Receives live writes, too; what it is filled with never overwrites them.

    Live writes reach it only if the same embedder makes its vectors. Otherwise the caller fills changes in again.
    """

    def __init__(self, index: QdrantEdgeIndex, generation: Generation) -> None:
        self._index = index
        self.generation = generation
        self.removed: set[UUID] = set()

    async def upsert(self, entries: Sequence[IndexEntry]) -> None:
        for step in in_steps([entry for entry in entries if entry.id not in self.removed]):
            self._index.disk_space.require()
            self.generation.upsert(step, UpdateMode.InsertOnly)
            await asyncio.sleep(0)

    async def swap(self) -> None:
        self._index.swap_in(self, self.generation)

    async def abandon(self) -> None:
        if self._index.end_rebuild(self):
            self.generation.destroy()


def search_filter(scope: SearchScope, corpus: Filter) -> Filter:
    return corpus if scope.only is None else restrict_to(scope.only, corpus)


def in_steps(items: Sequence[Item]) -> Iterator[Sequence[Item]]:
    for start in range(0, len(items), STEP_SIZE):
        yield items[start : start + STEP_SIZE]
