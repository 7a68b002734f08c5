"""Recall: candidates by meaning and by words, joined with the ledger's rows, ranked, and shown with their reasons.

The ledger has the last word: an expired, deleted, archived or foreign memory cannot surface, whatever the index says.
"""

import datetime as dt
from dataclasses import dataclass, field
from uuid import UUID

from app.core.ports import Purpose
from app.core.resources import Resources
from app.memory.filters import Filter
from app.memory.models import Memory
from app.memory.namespace import Namespace
from app.memory.ranking import Ranked

FIRST_BY_FILTER = 5000
"""A filter that leaves no more than this is asked first; a wider one is applied to what the index finds."""
WIDEN = 4


@dataclass(frozen=True, slots=True)
class Question:
    project_id: UUID
    text: str
    namespaces: tuple[Namespace, ...] | None
    """None looks in the whole project, for what is pinned to an agent, an app or a run only."""
    top_k: int = 10
    threshold: float = 0.0
    filter: Filter | None = None
    show_expired: bool = False
    at: dt.datetime | None = None
    """The moment the question is about, for recency; now if left out."""
    user_id: str | None = None


@dataclass(frozen=True, slots=True)
class Recalled:
    memory: Memory
    score: float
    parts: dict[str, float] = field(default_factory=dict)


async def recall(resources: Resources, question: Question) -> list[Recalled]:
    names = tuple(str(namespace) for namespace in question.namespaces) if question.namespaces is not None else None
    await resources.indexer.settled(question.project_id, names)
    vector = (await resources.embedder.embed([question.text], Purpose.QUERY))[0]
    ranked: list[tuple[Memory, Ranked]] = []
    async for scope, limit in _attempts(resources, question, names):
        candidates = await resources.index.candidates(scope, vector, question.text, limit)
        ranked = await _judge(resources, question, candidates, vector)
        if len(ranked) >= question.top_k or len(candidates) < limit:
            break
    return [Recalled(memory, each.score, each.parts) for memory, each in ranked[: question.top_k]]
