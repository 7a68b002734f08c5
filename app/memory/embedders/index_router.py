"""One index for each embedder in use, behind the port of one index.

A server without a multilingual project has one index and one check of a flag for each call.
"""

import asyncio
from collections import defaultdict
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from dataclasses import dataclass, replace
from uuid import UUID

from app.core.ports import (
    Candidate,
    Embedder,
    EmbedderChoice,
    IndexedId,
    IndexEntry,
    IndexRebuild,
    SearchScope,
    Vector,
    VectorIndex,
)
from app.memory.embedders.choices import DEFAULT_STATE, EmbedderChoices
from app.memory.embedders.embedder_router import EmbedderRouter, MultilingualVector, choice_of, on_default_scale


@dataclass(frozen=True, slots=True)
class IndexPart:
    """One index and the embedder that makes its vectors."""

    embedder: Embedder
    index: VectorIndex
    choice: EmbedderChoice
    choices: EmbedderChoices | None = None

    def holds(self, project_id: UUID) -> bool:
        """Whether the memories of this project belong into this index."""
        state = DEFAULT_STATE if self.choices is None else self.choices.known(project_id)
        return self.choice in state.written

    def serves(self, project_id: UUID) -> bool:
        """Whether searches of this project use this index, so that it must be complete."""
        state = DEFAULT_STATE if self.choices is None else self.choices.known(project_id)
        return self.choice is state.serving


class IndexRouter:
    def __init__(
        self,
        default: VectorIndex,
        embedder: EmbedderRouter,
        choices: EmbedderChoices,
        open_multilingual: Callable[[], Awaitable[VectorIndex]],
    ) -> None:
        self._default = default
        self._embedder = embedder
        self.choices = choices
        self._open_multilingual = open_multilingual
        self._opening = asyncio.Lock()
        self._multilingual: VectorIndex | None = None

    @property
    def shared(self) -> bool:
        return self._default.shared

    @property
    def needs_rebuild(self) -> bool:
        return any(each.needs_rebuild for each in (self._default, self._multilingual) if each is not None)

    async def index_of(self, choice: EmbedderChoice) -> VectorIndex:
        if choice is EmbedderChoice.ENGLISH:
            return self._default
        async with self._opening:
            if self._multilingual is None:
                self._multilingual = await self._open_multilingual()
        return self._multilingual

    async def indexes(self) -> list[VectorIndex]:
        if not self.choices.in_use:
            return [self._default]
        await self.choices.current(None)
        return [self._default, await self.index_of(EmbedderChoice.MULTILINGUAL)]

    async def parts(self) -> list[IndexPart]:
        choices = list(EmbedderChoice)[: len(await self.indexes())]
        return [
            IndexPart(await self._embedder.open(each), await self.index_of(each), each, self.choices)
            for each in choices
        ]

    async def upsert(self, entries: Sequence[IndexEntry]) -> None:
        if not self.choices.in_use:
            await self._default.upsert(entries)
            return
        targets: dict[EmbedderChoice, list[IndexEntry]] = defaultdict(list)
        for entry in entries:
            for choice in (await self.choices.current(entry.project_id)).written:
                targets[choice].append(await self._with_vector_of(choice, entry))
        for choice, chosen in targets.items():
            await (await self.index_of(choice)).upsert(chosen)

    async def _with_vector_of(self, choice: EmbedderChoice, entry: IndexEntry) -> IndexEntry:
        if choice_of(entry.vector) is choice:
            return entry
        [vector] = await self._embedder.embed_with(choice, [entry.meaning], tenant=entry.project_id)
        return replace(entry, vector=vector)

    async def remove(self, ids: Sequence[UUID]) -> None:
        for index in await self.indexes():
            await index.remove(ids)

    async def find_candidates(
        self, scope: SearchScope, vector: Vector | Awaitable[Vector], text: str, limit: int
    ) -> list[Candidate]:
        if not self.choices.in_use or await self.choices.current(scope.project_id) is DEFAULT_STATE:
            return await self._default.find_candidates(scope, vector, text, limit)
        ready = await vector if isinstance(vector, Awaitable) else vector
        choice = choice_of(ready)
        found = await (await self.index_of(choice)).find_candidates(scope, ready, text, limit)
        return scaled(choice, found)

    async def find_similar(self, scope: SearchScope, vector: Vector, limit: int) -> list[Candidate]:
        choice = choice_of(vector)
        return scaled(choice, await (await self.index_of(choice)).find_similar(scope, vector, limit))

    async def find_by_words(self, scope: SearchScope, text: str, limit: int) -> list[Candidate]:
        return await (await self._serving(scope.project_id)).find_by_words(scope, text, limit)

    def share_of_words(self, question: str, texts: Sequence[str]) -> list[float]:
        return self._default.share_of_words(question, texts)

    async def load_vectors(self, project_id: UUID, ids: Sequence[UUID]) -> dict[UUID, Vector]:
        index = await self._serving(project_id)
        vectors = await index.load_vectors(project_id, ids)
        return vectors if index is self._default else {key: MultilingualVector(each) for key, each in vectors.items()}

    async def _serving(self, project_id: UUID) -> VectorIndex:
        if not self.choices.in_use:
            return self._default
        return await self.index_of((await self.choices.current(project_id)).serving)

    async def find_existing(self, ids: Sequence[UUID]) -> set[UUID]:
        """In any of the indexes: what was erased must be in none."""
        found: set[UUID] = set()
        for index in await self.indexes():
            found |= await index.find_existing(ids)
        return found

    async def iterate_entries(self, batch: int = 1000) -> AsyncIterator[list[IndexedId]]:
        for index in await self.indexes():
            async for entries in index.iterate_entries(batch):
                yield entries

    async def count(self) -> int:
        return sum([await index.count() for index in await self.indexes()])

    async def built_with(self) -> tuple[str, int] | None:
        return await self._default.built_with()

    async def start_rebuild(self, embedder: str, dimensions: int) -> IndexRebuild:
        """Of the default index. `index_parts` names all."""
        return await self._default.start_rebuild(embedder, dimensions)

    async def run_housekeeping(self) -> None:
        for index in await self.indexes():
            await index.run_housekeeping()

    async def healthy(self) -> bool:
        opened = [each for each in (self._default, self._multilingual) if each is not None]
        return all([await each.healthy() for each in opened])

    async def close(self) -> None:
        await self.close_multilingual()
        await self._default.close()

    async def close_multilingual(self) -> None:
        """The caller that opened the default index closes it."""
        if self._multilingual is not None:
            await self._multilingual.close()


def scaled(choice: EmbedderChoice, found: list[Candidate]) -> list[Candidate]:
    if choice is EmbedderChoice.ENGLISH:
        return found
    return [
        each if each.similarity is None else each._replace(similarity=on_default_scale(choice, each.similarity))
        for each in found
    ]


async def index_parts(embedder: Embedder, index: VectorIndex) -> list[IndexPart]:
    """One for each embedder in use. A plain index is its own only part."""
    return (
        await index.parts() if isinstance(index, IndexRouter) else [IndexPart(embedder, index, EmbedderChoice.ENGLISH)]
    )
