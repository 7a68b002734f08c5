"""Compares the index with the ledger: whether it holds every memory that it should, and finds them."""

from collections.abc import Sequence
from enum import StrEnum
from itertools import groupby
from typing import Any

import structlog
from sqlalchemy import Row, text

from app.core.errors import IndexFailed
from app.core.ports import IndexUpsert, SearchScope
from app.core.resources import Resources
from app.memory.indexing.indexer import load_upserts
from app.memory.indexing.repair import by_project

log = structlog.get_logger()
HALF_A_SAMPLE = 50
NEAREST = 3
SAME_VECTOR = 0.99
TOLERATED_SHARE = 20
"""One in so many memories may not be found by its own vector: texts without meaning have none."""
COUNT_INDEXED_SQL = text("select count(*) from memories where state = 'indexed' and archived_at is null")
# Ids are random, so both ends of their order are a random sample that costs two short reads of an index.
SELECT_SAMPLE_SQL = text("""
(select id, project_id from memories where state = 'indexed' and archived_at is null order by id limit :half)
union (select id, project_id from memories where state = 'indexed' and archived_at is null order by id desc limit :half)
""")


class IndexCondition(StrEnum):
    COMPLETE = "complete"
    INCOMPLETE = "incomplete"
    """Memories are missing."""
    DAMAGED = "damaged"
    """Its content is wrong."""


async def inspect_index(resources: Resources) -> IndexCondition:
    if resources.index.needs_rebuild:
        return IndexCondition.DAMAGED
    async with resources.database.system() as tx:
        expected = await tx.scalar(COUNT_INDEXED_SQL) or 0
        rows = (await tx.execute(SELECT_SAMPLE_SQL, {"half": HALF_A_SAMPLE})).all()
    try:
        return await _compare(resources, expected, rows)
    except IndexFailed as error:
        log.warning("index.unreadable", exc_info=error)
        return IndexCondition.DAMAGED


async def _compare(resources: Resources, expected: int, rows: Sequence[Row[Any]]) -> IndexCondition:
    # A memory is counted as indexed only once it is in the index, so the index never holds fewer.
    if await resources.index.count() < expected:
        return IndexCondition.INCOMPLETE
    return await _inspect_sample(resources, rows)


async def _inspect_sample(resources: Resources, rows: Sequence[Row[Any]]) -> IndexCondition:
    """Also notices an index of another database, and one whose count is right by chance."""
    missing = not_found = 0
    for project_id, group in groupby(sorted(rows, key=by_project), by_project):
        memories = await load_upserts(resources.database, project_id, [row.id for row in group])
        vectors = await resources.index.load_vectors(project_id, [each.id for each in memories])
        missing += sum(each.id not in vectors for each in memories)
        present = [each for each in memories if each.id in vectors]
        not_found += sum([not await _is_found(resources, each, vectors[each.id]) for each in present])
    if missing:
        return IndexCondition.INCOMPLETE
    return IndexCondition.DAMAGED if not_found > len(rows) // TOLERATED_SHARE else IndexCondition.COMPLETE


async def _is_found(resources: Resources, memory: IndexUpsert, vector: Sequence[float]) -> bool:
    """By its own vector, or another memory with the same text."""
    scope = SearchScope(memory.project_id, (memory.namespace,))
    nearest = await resources.index.find_similar(scope, vector, NEAREST)
    return any(each.id == memory.id or (each.similarity or 0) > SAME_VECTOR for each in nearest)
