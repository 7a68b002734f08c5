"""The words of memories in Postgres: a sparse vector of term weights in each row, and BM25 over the rows of a scope.

The rarity of each word is counted over the rows of the scope alone, so that a score tells nothing about other tenants.
"""

import math
from collections import defaultdict
from collections.abc import Mapping, Sequence
from uuid import UUID

from qdrant_edge import SparseVector
from sqlalchemy import TextClause, text

from app.adapters.vectors.bm25 import document_terms, query_terms
from app.adapters.vectors.candidates import Scores
from app.core.database.database import Database
from app.core.ports import MESSAGES, IndexEntry, SearchScope

# The highest dimension of a sparse vector in pgvector.
SPARSE_DIMENSIONS = 1_000_000_000
STEP_SIZE = 500
# SQLAlchemy reads a colon that is not escaped as the beginning of a parameter.
IN_PROJECT = f""" and project_id = :project and (namespace = any(:namespaces)
  or cast(:namespaces as text[]) is null and strpos(namespace, '{MESSAGES.replace(":", chr(92) + ":")}') = 0)"""
IN_SELECTION = " and (cast(:only as uuid[]) is null or memory_id = any(:only))"
IN_CURRENT_COLLECTION = "collection_id = (select id from vector_collections where store = :store and state = 'current')"
COUNT_TERM_FREQUENCIES = """
with corpus as materialized (
  select words, words <#> cast(:words as sparsevec) < 0 as hit from {table} where {corpus})
select (select count(*) from corpus) as total, array(
  select (select count(*) from corpus where hit and corpus.words <#> term.unit < 0)
  from unnest(cast(cast(:units as text[]) as sparsevec[])) with ordinality as term (unit, place)
  order by place) as frequencies
"""
SELECT_BY_WORDS = """
select memory_id, -(words <#> cast(:words as sparsevec)) as bm25 from {table}
where {scope} and words <#> cast(:words as sparsevec) < 0 order by bm25 desc, memory_id limit :limit
"""
WRITE_WORDS = """
insert into memory_words (memory_id, collection_id, project_id, namespace, words)
select id, collection_id, :project, namespace, cast(words as sparsevec)
from unnest(cast(:ids as uuid[]), cast(:namespaces as text[]), cast(:words as text[])) as entry (id, namespace, words)
cross join unnest(cast(:collections as integer[])) as target (collection_id)
on conflict {conflict}
"""
UPSERT_WORDS_SQL = text(
    WRITE_WORDS.format(
        conflict="(memory_id, collection_id) do update set namespace = excluded.namespace, words = excluded.words"
    )
)
INSERT_MISSING_WORDS_SQL = text(WRITE_WORDS.format(conflict="do nothing returning memory_id"))
DELETE_WORDS_SQL = text("""
delete from memory_words where memory_id = any(:ids)
and collection_id in (select id from vector_collections where store = :store)
""")


class WordSearch:
    """BM25 over the rows of one table. `current` is the condition that chooses the rows which are in use."""

    def __init__(
        self, database: Database, *, table: str, current: str, values: Mapping[str, object] | None = None
    ) -> None:
        self._database = database
        self._values = dict(values or {})
        self._count = fill_in(COUNT_TERM_FREQUENCIES, table, current)
        self._select = fill_in(SELECT_BY_WORDS, table, current)

    async def weigh_terms(self, scope: SearchScope, terms: SparseVector) -> str:
        """The terms of a question, each weighted with its rarity among the rows of the scope."""
        dimensions = sorted({dimension_of(term) for term in terms.indices})
        units = [sparse_literal({each: 1.0}) for each in dimensions]
        words = sparse_literal(dict.fromkeys(dimensions, 1.0))
        values = {"units": units, "words": words, **scope_values(scope), **self._values}
        [row] = await self._database.pipeline(scope.project_id, None, (self._count, values))
        counts = zip(dimensions, row.frequencies, strict=True)
        return sparse_literal({each: rarity(row.total, count) for each, count in counts})

    async def find_best(self, scope: SearchScope, words: str, limit: int) -> Scores:
        """The best by words alone. `words` comes from `weigh_terms`."""
        values = {"words": words, "limit": limit, **scope_values(scope), **self._values}
        rows = await self._database.pipeline(scope.project_id, None, (self._select, values))
        return {row.memory_id: row.bm25 for row in rows}


class PostgresWords:
    """The words of the memories whose vectors another store keeps."""

    def __init__(self, database: Database, store: str) -> None:
        self._database = database
        self._store = store
        self._search = WordSearch(
            database, table="memory_words", current=IN_CURRENT_COLLECTION, values={"store": store}
        )

    async def upsert(self, entries: Sequence[IndexEntry], collections: Sequence[int]) -> None:
        for project_id, step in in_project_steps(entries):
            values = {"project": project_id, "collections": list(collections), **entry_words(step)}
            await self._database.pipeline(project_id, None, (UPSERT_WORDS_SQL, values))

    async def insert_missing(self, entries: Sequence[IndexEntry], collection: int) -> set[UUID]:
        """Leaves rows that exist already as they are. Returns the ids of the others."""
        inserted: set[UUID] = set()
        for project_id, step in in_project_steps(entries):
            values = {"project": project_id, "collections": [collection], **entry_words(step)}
            rows = await self._database.pipeline(project_id, None, (INSERT_MISSING_WORDS_SQL, values))
            inserted.update(row.memory_id for row in rows)
        return inserted

    async def remove(self, ids: Sequence[UUID]) -> None:
        await self._database.system_pipeline((DELETE_WORDS_SQL, {"ids": list(ids), "store": self._store}))

    async def find_by_words(self, scope: SearchScope, question: str, limit: int) -> Scores:
        weighed = await self.weigh(scope, question)
        return await self.find_weighed(scope, weighed, limit) if weighed else {}

    async def weigh(self, scope: SearchScope, question: str) -> str | None:
        """The words of a question with their weights, for `find_weighed`. None if it has none that count."""
        terms = query_terms(question)
        return await self._search.weigh_terms(scope, terms) if terms.indices else None

    async def find_weighed(self, scope: SearchScope, weighed: str, limit: int) -> Scores:
        return await self._search.find_best(scope, weighed, limit)


def fill_in(sql: str, table: str, current: str) -> TextClause:
    corpus = current + IN_PROJECT
    return text(sql.format(table=table, corpus=corpus, scope=corpus + IN_SELECTION))


def rarity(total: int, containing: int) -> float:
    return math.log(1 + (total - containing + 0.5) / (containing + 0.5))


def in_project_steps(entries: Sequence[IndexEntry]) -> list[tuple[UUID, list[IndexEntry]]]:
    """One statement writes rows of one project, and each row once: the last entry of an id counts."""
    by_project: dict[UUID, list[IndexEntry]] = defaultdict(list)
    for entry in {entry.id: entry for entry in entries}.values():
        by_project[entry.project_id].append(entry)
    return [(p, rows[at : at + STEP_SIZE]) for p, rows in by_project.items() for at in range(0, len(rows), STEP_SIZE)]


def entry_words(entries: Sequence[IndexEntry]) -> dict[str, object]:
    return {
        "ids": [entry.id for entry in entries],
        "namespaces": [entry.namespace for entry in entries],
        "words": [words_literal(document_terms(entry.text)) for entry in entries],
    }


def scope_values(scope: SearchScope) -> dict[str, object]:
    return {
        "project": scope.project_id,
        "namespaces": None if scope.namespaces is None else list(scope.namespaces),
        "only": None if scope.only is None else list(scope.only),
    }


def words_literal(terms: SparseVector) -> str:
    weights: dict[int, float] = defaultdict(float)
    for term, weight in zip(terms.indices, terms.values, strict=True):
        weights[dimension_of(term)] += weight
    return sparse_literal(weights)


def sparse_literal(weights: Mapping[int, float]) -> str:
    return "{" + ",".join(f"{at}:{weight}" for at, weight in sorted(weights.items())) + f"}}/{SPARSE_DIMENSIONS}"


def dimension_of(term: int) -> int:
    return term % SPARSE_DIMENSIONS + 1
