"""Find the memories that a request to forget means, whatever their state: archived and superseded ones, too."""

from uuid import UUID

import numpy as np
from sqlalchemy import and_, not_, select

from app.core.ports import SearchScope
from app.core.resources import Resources
from app.core.text.forget_requests import ForgetRequest
from app.memory.indexing import embedding_text
from app.memory.ledger import Memory, MemoryRepository, visible
from app.memory.meant import CandidateStatement, choose_meant
from app.memory.namespace import Namespace
from app.memory.summaries.sources import join_summaries

MAX_CANDIDATES = 100
MAX_NOT_INDEXED = 100


async def find_meant(resources: Resources, namespace: Namespace, request: ForgetRequest) -> list[list[Memory]]:
    """Best first; the memories that say the same are one group."""
    project_id = namespace.project_id
    await resources.index_queue.wait_until_indexed(project_id, [str(namespace)], seconds=2)
    (wish,) = await resources.embedder.embed([request.what], tenant=project_id)
    scope = SearchScope(project_id, (str(namespace),))
    candidates = await resources.index.find_candidates(scope, wish, request.what, MAX_CANDIDATES)
    rows = await _load(resources, namespace, [each.id for each in candidates])
    if not rows:
        return []
    texts = [request.what, *(embedding_text(row.content) for row in rows)]
    wish, *vectors = await resources.embedder.embed(texts, tenant=project_id)
    similarities = (np.array(vectors) @ np.array(wish)).tolist()
    statements = [
        CandidateStatement(row.content, similarity, vector)
        for row, similarity, vector in zip(rows, similarities, vectors, strict=True)
    ]
    groups = [[rows[place] for place in group] for group in choose_meant(request, statements)]
    async with resources.database.transaction(project_id, namespace.user_id) as tx:
        return await join_summaries(tx, namespace, groups)


async def _load(resources: Resources, namespace: Namespace, candidates: list[UUID]) -> list[Memory]:
    """The candidates, and the newest memories that the index does not have."""
    async with resources.database.transaction(namespace.project_id, namespace.user_id) as tx:
        repository = MemoryRepository(tx, namespace.project_id, namespace.user_id)
        mine = [*repository.mine(), Memory.namespace == str(namespace)]
        hidden = select(Memory).where(*mine, not_(and_(*visible()))).order_by(Memory.created_at.desc())
        rows = [*await repository.find_all(candidates, Memory.namespace == str(namespace))]
        rows += await tx.scalars(hidden.limit(MAX_NOT_INDEXED))
    return list({row.id: row for row in rows}.values())
