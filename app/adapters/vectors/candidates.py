"""What every index shares: how its two kinds of finds become one list, and what it says to a foreign embedder."""

from collections.abc import Awaitable, Mapping
from uuid import UUID

from app.core.ports import Candidate, Vector

Scores = Mapping[UUID, float]
DENSE, WORDS = "dense", "words"
"""What the two vectors of a point are called."""
MADE_BY_ANOTHER = "The vector index was made by another embedder: set EMBEDDER back, or run `reindex` and restart"


def unite(by_meaning: Scores, by_words: Scores) -> list[Candidate]:
    """Nearest first, then those that only the words found."""
    ids = dict.fromkeys([*by_meaning, *by_words])
    return [Candidate(each, by_meaning.get(each), by_words.get(each)) for each in ids]


async def arrived(vector: Vector | Awaitable[Vector]) -> Vector:
    return await vector if isinstance(vector, Awaitable) else vector


def to_dense(vectors: object) -> Vector:
    dense: Vector = vectors[DENSE]  # type: ignore[index]  # named, since every vector here has a name
    return dense
