"""The vector index, and its replacement while it is rebuilt."""

from collections.abc import AsyncIterator, Awaitable, Sequence
from dataclasses import dataclass
from typing import NamedTuple, Protocol
from uuid import UUID

from app.core.ports.embeddings import Vector

MESSAGES = ":messages:"
"""What the names of the namespaces of messages contain. A search of the whole project does not read these."""


@dataclass(frozen=True, slots=True)
class IndexEntry:
    """One memory as the index stores it: derived from the ledger, and without readable metadata."""

    id: UUID
    project_id: UUID
    namespace: str
    vector: Vector
    text: str
    """For BM25 only. An index does not have to return it."""
    meaning: str = ""
    """The text that the vector stands for, so that another embedder can embed it, too. No index stores it."""


@dataclass(frozen=True, slots=True)
class SearchScope:
    """Where to search. `namespaces` None means all memories of the project, and no messages; `only` restricts the
    search to these memories."""

    project_id: UUID
    namespaces: tuple[str, ...] | None
    only: tuple[UUID, ...] | None = None


class Candidate(NamedTuple):
    id: UUID
    similarity: float | None
    """Cosine similarity, -1 to 1; None if only the words matched."""
    bm25: float | None
    """BM25 with word statistics of the scope alone; None if only the meaning matched."""


@dataclass(frozen=True, slots=True)
class IndexedId:
    id: UUID
    project_id: UUID


class VectorIndex(Protocol):
    """Dense and BM25 search within a scope. Every acknowledged write survives a crash."""

    @property
    def shared(self) -> bool:
        """Whether other processes may write to it, too."""

    @property
    def needs_rebuild(self) -> bool:
        """Whether its content cannot be trusted, because its files were changed while it was closed."""

    async def upsert(self, entries: Sequence[IndexEntry]) -> None: ...

    async def remove(self, ids: Sequence[UUID]) -> None: ...

    async def find_candidates(
        self, scope: SearchScope, vector: Vector | Awaitable[Vector], text: str, limit: int
    ) -> list[Candidate]:
        """The `limit` nearest by meaning and the `limit` best by words, merged, with both scores where known.

        The index awaits the vector as late as possible, so that it can search for words while the model embeds."""
        ...

    async def find_similar(self, scope: SearchScope, vector: Vector, limit: int) -> list[Candidate]:
        """The `limit` nearest by meaning alone."""
        ...

    async def find_by_words(self, scope: SearchScope, text: str, limit: int) -> list[Candidate]:
        """The `limit` best by words alone, for when the model cannot embed the question."""
        ...

    def share_of_words(self, question: str, texts: Sequence[str]) -> list[float]:
        """How much of the words of the question each text contains, from 0 to 1, read as the index reads words."""
        ...

    async def load_vectors(self, project_id: UUID, ids: Sequence[UUID]) -> dict[UUID, Vector]:
        """The vectors of those ids that the index holds for this project."""
        ...

    async def find_existing(self, ids: Sequence[UUID]) -> set[UUID]:
        """Those of the ids that the index holds."""
        ...

    def iterate_entries(self, batch: int = 1000) -> AsyncIterator[list[IndexedId]]:
        """Every entry, in batches, for repair."""
        ...

    async def count(self) -> int: ...

    async def built_with(self) -> tuple[str, int] | None:
        """Name and dimensions of the embedder that made the vectors; None while the index is empty and unmarked."""
        ...

    async def start_rebuild(self, embedder: str, dimensions: int) -> "IndexRebuild":
        """Create a second, empty index beside this one, to be filled and swapped in."""
        ...

    async def run_housekeeping(self) -> None:
        """Called while the indexer is idle: short steps, never a long pause."""
        ...

    async def healthy(self) -> bool: ...

    async def close(self) -> None: ...


class IndexRebuild(Protocol):
    async def upsert(self, entries: Sequence[IndexEntry]) -> None: ...

    async def swap(self) -> None:
        """Direct searches to the new index and remove the old one."""
        ...

    async def abandon(self) -> None: ...
