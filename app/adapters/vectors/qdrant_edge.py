"""The default vector index: Qdrant Edge in this process.

Measured on two cores: every call holds the GIL throughout, so a thread would add a hop of 0.1 ms to a search of 0.2 ms
and let nothing else run. `optimize()` stands still for 0.5 s at least and 1.4 to 4 s for 100,000 memories at once,
so it runs at the start and, while serving, only after a quiet spell with much to gain.
"""

import asyncio
import fcntl
import shutil
import time
from collections.abc import AsyncIterator, Awaitable, Iterator, Sequence
from pathlib import Path
from typing import IO, TypeVar
from uuid import UUID

from qdrant_edge import Filter, SparseVector, UpdateMode

from app.adapters.vectors.bm25 import query_terms
from app.adapters.vectors.candidates import MADE_BY_ANOTHER, arrived, unite
from app.adapters.vectors.edge_shard import (
    Generation,
    Scores,
    among,
    best_words,
    everything_in,
    nearest,
    write_durably,
)
from app.core.errors import ConfigurationError, Conflict, Unavailable
from app.core.ports import Candidate, IndexedId, IndexEntry, SearchScope, Vector

Item = TypeVar("Item")
CURRENT = "CURRENT"
# Edge takes 60 µs to write a point: other work gets its turn in between.
STEP = 200
# Below this an unoptimized index is about as quick as an optimized one.
WORTH_OPTIMIZING = 50_000
QUIET_SECONDS = 30.0


class QdrantEdgeIndex:
    def __init__(self, folder: Path, lock: IO[bytes], current: Generation, live: tuple[str, int]) -> None:
        self._folder = folder
        self._lock = lock
        self._current = current
        self._live = live
        self._worth, self._quiet = WORTH_OPTIMIZING, QUIET_SECONDS
        self._rebuild: EdgeRebuild | None = None
        self._used = time.monotonic()

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
        """Opens what is there even if another embedder made it: `made_by` tells, and `rebuild` remedies."""
        lock = claim(path)
        index = cls(path, lock, open_current(path, embedder, dimensions), (embedder, dimensions))
        index._worth, index._quiet = worth_optimizing, quiet_seconds
        index.optimize_if_worth_it()
        return index

    async def upsert(self, entries: Sequence[IndexEntry]) -> None:
        self._used = time.monotonic()
        for step in in_steps(entries):
            targets = [each for each in self._generations() if each.made_by == self._live]
            if not targets:
                raise Unavailable(MADE_BY_ANOTHER)
            for target in targets:
                target.upsert(step)
            await asyncio.sleep(0)

    async def remove(self, ids: Sequence[UUID]) -> None:
        self._used = time.monotonic()
        for step in in_steps(ids):
            for generation in self._generations():
                generation.remove(step)
            if self._rebuild:
                self._rebuild.removed.update(step)
            await asyncio.sleep(0)

    async def candidates(
        self, scope: SearchScope, vector: Vector | Awaitable[Vector], text: str, limit: int
    ) -> list[Candidate]:
        self._used = time.monotonic()
        corpus = everything_in(scope)
        where, terms = narrow(scope, corpus), query_terms(text)
        asked = bool(terms.indices)
        by_words = self._current.search([best_words(terms, where, corpus, limit)])[0] if asked else {}
        there = await arrived(vector)
        by_meaning = self._current.search([nearest(there, where, limit)])[0]
        if asked:
            measure_both(self._current, corpus, there, terms, by_meaning, by_words, limit)
        return unite(by_meaning, by_words)

    async def similar(self, scope: SearchScope, vector: Vector, limit: int) -> list[Candidate]:
        self._used = time.monotonic()
        corpus = everything_in(scope)
        (found,) = self._current.search([nearest(vector, narrow(scope, corpus), limit)])
        return unite(found, {})

    async def vectors(self, project_id: UUID, ids: Sequence[UUID]) -> dict[UUID, Vector]:
        self._used = time.monotonic()
        return self._current.vectors(project_id, ids) if ids else {}

    async def present(self, ids: Sequence[UUID]) -> set[UUID]:
        return self._current.present(ids) if ids else set()

    async def walk(self, batch: int = 1000) -> AsyncIterator[list[IndexedId]]:
        page, following = self._current.page(None, batch)
        while page:
            yield page
            if following is None:
                return
            page, following = self._current.page(following, batch)

    async def count(self) -> int:
        return self._current.count()

    async def made_by(self) -> tuple[str, int] | None:
        return self._current.made_by

    async def rebuild(self, embedder: str, dimensions: int) -> "EdgeRebuild":
        """Takes the place of one that was never finished."""
        if self._rebuild:
            await self._rebuild.abandon()
        folder = self._folder / next_name(self._current.folder.name)
        self._rebuild = EdgeRebuild(self, Generation.create(folder, embedder, dimensions))
        return self._rebuild

    async def settle(self) -> None:
        self._current.flush()
        if time.monotonic() - self._used >= self._quiet:
            self.optimize_if_worth_it()

    async def healthy(self) -> bool:
        try:
            self._current.loose()
        except Unavailable:
            return False
        return True

    async def close(self) -> None:
        if self._rebuild:
            await self._rebuild.abandon()
        self._current.close()
        self._lock.close()

    def optimize_if_worth_it(self) -> None:
        if self._current.loose() >= self._worth:
            self._current.optimize()

    def _generations(self) -> list[Generation]:
        return [self._current, self._rebuild.generation] if self._rebuild else [self._current]

    def take(self, rebuild: "EdgeRebuild", rebuilt: Generation) -> None:
        """The pointer is what counts after a crash: before it is replaced all is old, after it all is new."""
        if not self.drop(rebuild):
            raise Conflict("Another rebuild of the vector index has taken the place of this one")
        rebuilt.flush()
        old = self._current
        write_durably(self._folder / CURRENT, rebuilt.folder.name)
        self._current = rebuilt
        old.destroy()

    def drop(self, rebuild: "EdgeRebuild") -> bool:
        """Whether it was the one under way."""
        if self._rebuild is not rebuild:
            return False
        self._rebuild = None
        return True


class EdgeRebuild:
    """Follows what is written meanwhile; what it is filled with never overwrites that.

    Vectors of a different embedder cannot be followed: what changed during such a rebuild must be filled in again.
    """

    def __init__(self, index: QdrantEdgeIndex, generation: Generation) -> None:
        self._index = index
        self.generation = generation
        self.removed: set[UUID] = set()

    async def upsert(self, entries: Sequence[IndexEntry]) -> None:
        for step in in_steps([entry for entry in entries if entry.id not in self.removed]):
            self.generation.upsert(step, UpdateMode.InsertOnly)
            await asyncio.sleep(0)

    async def swap(self) -> None:
        self._index.take(self, self.generation)

    async def abandon(self) -> None:
        if self._index.drop(self):
            self.generation.destroy()


# ---------------------------------------------------------------- search


def measure_both(
    index: Generation,
    corpus: Filter,
    vector: Vector,
    terms: SparseVector,
    by_meaning: Scores,
    by_words: Scores,
    limit: int,
) -> None:
    """What only one of the two found gets its score of the other kind."""
    unmeasured = [each for each in by_words if each not in by_meaning]
    # Fewer matches than asked for are all there are: whoever is not among them matches no word.
    unread = [each for each in by_meaning if each not in by_words] if len(by_words) >= limit else []
    if unmeasured:
        by_meaning |= index.search([nearest(vector, among(unmeasured, corpus), len(unmeasured))])[0]
    if unread:
        by_words |= index.search([best_words(terms, among(unread, corpus), corpus, len(unread))])[0]


def narrow(scope: SearchScope, corpus: Filter) -> Filter:
    return corpus if scope.only is None else among(scope.only, corpus)


# ---------------------------------------------------------------- folders


def claim(path: Path) -> IO[bytes]:
    """One process at a time; the operating system lets go of the lock when that process ends, however it ends."""
    path.mkdir(parents=True, exist_ok=True)
    lock = (path / "lock").open("ab")
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        lock.close()
        raise ConfigurationError(
            f"Another process uses the embedded vector index in {path.resolve()}: stop it, or set QDRANT_URL or"
            " VECTOR_STORE=pgvector to share one index"
        ) from None
    return lock


def open_current(path: Path, embedder: str, dimensions: int) -> Generation:
    pointer = path / CURRENT
    if not pointer.exists():
        first = Generation.create(path / next_name(None), embedder, dimensions)
        write_durably(pointer, first.folder.name)
        return first
    current = path / pointer.read_text().strip()
    forget_others(path, current)
    return Generation.load(current)


def forget_others(path: Path, current: Path) -> None:
    """What a crash left of a rebuild, or of the index before one."""
    for folder in path.iterdir():
        if folder.is_dir() and folder != current:
            shutil.rmtree(folder)


def next_name(name: str | None) -> str:
    return f"generation-{int(name.rpartition('-')[2]) + 1 if name else 1}"


def in_steps(items: Sequence[Item]) -> Iterator[Sequence[Item]]:
    for start in range(0, len(items), STEP):
        yield items[start : start + STEP]
