"""One namespace in memory with exact cosines and BM25: the quality of ranking without an engine."""

import math
from collections import defaultdict
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from app.adapters.vectors.bm25 import document_terms, query_terms
from app.core.ports import Embedder, Purpose
from app.memory.indexing import embedding_text, keyword_text, query_text
from app.memory.ledger import NewMemory
from app.memory.recall import RankingInput

Floats = NDArray[np.float64]


class ExactNamespace:
    def __init__(self, memories: Sequence[NewMemory], vectors: Floats) -> None:
        self.memories = memories
        self._vectors = vectors
        self._postings: dict[int, list[tuple[int, float]]] = defaultdict(list)
        for place, memory in enumerate(memories):
            terms = document_terms(keyword_text(memory.content, memory.context, memory.created_at))
            for term, weight in zip(terms.indices, terms.values, strict=True):
                self._postings[term].append((place, weight))

    @classmethod
    async def remember(cls, embedder: Embedder, memories: Sequence[NewMemory]) -> "ExactNamespace":
        texts = [embedding_text(memory.content) for memory in memories]
        return cls(memories, np.array(await embedder.embed(texts)))

    def part(self, places: Sequence[int]) -> "ExactNamespace":
        return ExactNamespace([self.memories[place] for place in places], self._vectors[list(places)])

    async def candidates(self, embedder: Embedder, question: str, limit: int) -> list[RankingInput]:
        """The best candidates by meaning and by words, each with both scores, as the indexes return them."""
        vector = (await embedder.embed([query_text(question)], Purpose.QUERY))[0]
        near = self._vectors @ np.array(vector)
        words = self._bm25(question)
        by_meaning = set(np.argsort(-near, kind="stable")[:limit].tolist())
        by_words = {place for place in np.argsort(-words, kind="stable")[:limit].tolist() if words[place] > 0}
        return [
            as_found(self.memories[place], float(near[place]), float(words[place]) or None)
            for place in sorted(by_meaning | by_words)
        ]

    def _bm25(self, question: str) -> Floats:
        scores = np.zeros(len(self.memories))
        for term in query_terms(question).indices:
            postings = self._postings.get(term, [])
            rarity = math.log(1 + (len(scores) - len(postings) + 0.5) / (len(postings) + 0.5))
            for place, weight in postings:
                scores[place] += weight * rarity
        return scores


def as_found(memory: NewMemory, similarity: float, bm25: float | None) -> RankingInput:
    assert memory.created_at is not None
    return RankingInput(
        id=memory.id,
        similarity=similarity,
        bm25=bm25,
        kind=memory.kind,
        role=memory.role,
        content=memory.content,
        context=memory.context,
        run_id=memory.origin.run_id,
        created_at=memory.created_at,
        importance=memory.importance,
    )
