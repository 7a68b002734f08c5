"""The memories of a namespace that are near to given texts, each text embedded once."""

from collections.abc import Sequence
from uuid import UUID

import numpy as np

from app.core.ports import KnownMemory, SearchScope, Vector
from app.core.resources import Resources
from app.memory.ledger import Kind, Memory, MemoryRepository, visible
from app.memory.namespace import Namespace


class KnownMemories:
    """`without`: memories that hold words whose facts are not extracted yet, so that they are no known facts.

    Nor are summaries: a fact that one contains would be lost when it is undone."""

    def __init__(self, resources: Resources, namespace: Namespace, *, without: frozenset[UUID] = frozenset()) -> None:
        self._resources = resources
        self._namespace = namespace
        self._without = without
        self._vectors: dict[str, Vector] = {}

    async def search(self, texts: Sequence[str], limit: int) -> list[list[KnownMemory]]:
        resources, namespace = self._resources, self._namespace
        scope = SearchScope(namespace.project_id, (str(namespace),))
        await resources.index_queue.wait_until_indexed(namespace.project_id, [str(namespace)], seconds=10)
        most = limit + len(self._without)
        found = [await resources.index.find_similar(scope, vector, most) for vector in await self.embed(texts)]
        found = [[each for each in near if each.id not in self._without][:limit] for near in found]
        ids = {candidate.id for each in found for candidate in each}
        async with resources.database.transaction(namespace.project_id, namespace.user_id) as tx:
            rows = {
                row.id: row
                for row in await MemoryRepository(tx, namespace.project_id).find_all(
                    list(ids), *visible(show_expired=True), Memory.kind != Kind.SUMMARY
                )
            }
        return [
            [
                KnownMemory(candidate.id, rows[candidate.id].content, candidate.similarity or 0)
                for candidate in each
                if candidate.id in rows
            ]
            for each in found
        ]

    async def embed(self, texts: Sequence[str]) -> list[Vector]:
        if new := [text for text in dict.fromkeys(texts) if text not in self._vectors]:
            self._vectors |= dict(
                zip(new, await self._resources.embedder.embed(new, tenant=self._namespace.project_id), strict=True)
            )
        return [self._vectors[text] for text in texts]

    async def nearest(self, text: str, groups: Sequence[Sequence[str]]) -> int:
        """The number of the group with the text that is most similar to this one."""
        (vector,) = await self.embed([text])
        best = [max(np.array(await self.embed(group)) @ np.array(vector), default=-1.0) for group in groups]
        return best.index(max(best))
