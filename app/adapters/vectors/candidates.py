"""What the vector indexes share: vector names, the merging of both kinds of results, and error sentences."""

from collections.abc import Awaitable
from uuid import UUID

from app.core.ports import MESSAGES, Candidate, IndexEntry, Vector

Scores = dict[UUID, float]
DENSE, WORDS = "dense", "words"
"""The names of the two vectors of a point."""
OTHER_EMBEDDER = "The vector index was built with another embedder. Set EMBEDDER back, or run `reindex` and restart."
REBUILD_REPLACED = "Another rebuild of the vector index has replaced this one."


def owner_value(entry: IndexEntry) -> str:
    """What a point is found under when the whole project is searched, which reads no messages."""
    of_memories, of_messages = owner_values(entry.project_id)
    return of_messages if MESSAGES in entry.namespace else of_memories


def owner_values(project_id: UUID) -> list[str]:
    return [str(project_id), f"{project_id}/messages"]


def owner_of(value: str) -> UUID:
    """The project of a point."""
    return UUID(value[:36])


def merge_scores(by_meaning: Scores, by_words: Scores) -> list[Candidate]:
    """The nearest first, then those that only the words found."""
    ids = dict.fromkeys([*by_meaning, *by_words])
    return [Candidate(each, by_meaning.get(each), by_words.get(each)) for each in ids]


def missing_scores(by_meaning: Scores, by_words: Scores, limit: int) -> tuple[list[UUID], list[UUID]]:
    """The candidates without a similarity, and those that may have a BM25 score that the search did not return."""
    without_similarity = [each for each in by_words if each not in by_meaning]
    # Fewer results than the limit are all there are: a candidate that is not among them matches no word.
    without_bm25 = [each for each in by_meaning if each not in by_words] if len(by_words) >= limit else []
    return without_similarity, without_bm25


async def resolve_vector(vector: Vector | Awaitable[Vector]) -> Vector:
    return await vector if isinstance(vector, Awaitable) else vector


def dense_vector(vectors: object) -> Vector:
    dense: Vector = vectors[DENSE]  # type: ignore[index]  # every point here has named vectors
    return dense
