"""Vectors in Postgres with pgvector: a search reads the whole namespace and compares exactly."""

import json
from collections.abc import AsyncIterator, Awaitable, Sequence
from uuid import UUID

from sqlalchemy import TextClause, text
from sqlalchemy.exc import SQLAlchemyError

from app.adapters.vectors.bm25 import WordSharesMixin, query_terms
from app.adapters.vectors.candidates import OTHER_EMBEDDER, REBUILD_REPLACED, merge_scores, resolve_vector
from app.adapters.vectors.postgres_words import (
    IN_PROJECT,
    IN_SELECTION,
    WordSearch,
    entry_words,
    in_project_steps,
    scope_values,
)
from app.core.database.database import Database
from app.core.errors import Conflict, Unavailable
from app.core.ports import Candidate, IndexedId, IndexEntry, SearchScope, Vector

IN_CURRENT_GENERATION = "generation = (select current from memory_vector_generations where name = :index)"
SCOPE = IN_CURRENT_GENERATION + IN_PROJECT + IN_SELECTION
FROM_ENTRIES = """
from unnest(cast(:ids as uuid[]), cast(:namespaces as text[]), cast(:vectors as text[]), cast(:words as text[]))
  as entry (id, namespace, vector, words)
"""
COLUMNS = "(memory_id, generation, project_id, namespace, embedding, words)"


def build_statement(sql: str) -> TextClause:
    """Fills in the fragments that several statements share."""
    return text(sql.format(current=IN_CURRENT_GENERATION, scope=SCOPE, rows=FROM_ENTRIES, columns=COLUMNS))


UPSERT_VECTORS_SQL = build_statement("""
insert into memory_vectors {columns}
select id, target, :project, namespace, cast(vector as vector), cast(words as sparsevec) {rows}
cross join (
  select current from memory_vector_generations
  where name = :index and embedder = :embedder and dimensions = :dimensions
  union all select following from memory_vector_generations
  where name = :index and following_embedder = :embedder and following_dimensions = :dimensions) as targets (target)
on conflict (memory_id, generation) do update
set namespace = excluded.namespace, embedding = excluded.embedding, words = excluded.words
returning memory_id
""")
INSERT_REBUILD_VECTORS_SQL = build_statement("""
insert into memory_vectors {columns}
select id, :generation, :project, namespace, cast(vector as vector), cast(words as sparsevec) {rows}
on conflict do nothing
""")
SELECT_SIMILAR_SQL = build_statement("""
select memory_id, 1 - (embedding <=> cast(:vector as vector)) as similarity from memory_vectors
where {scope} order by similarity desc, memory_id limit :limit
""")
SELECT_CANDIDATES_SQL = build_statement("""
with found as materialized (
  select memory_id, 1 - (embedding <=> cast(:vector as vector)) as similarity,
    nullif(-(words <#> cast(:words as sparsevec)), 0) as bm25
  from memory_vectors where {scope}),
best as (
  (select memory_id from found order by similarity desc, memory_id limit :limit)
  union
  (select memory_id from found where bm25 is not null order by bm25 desc, memory_id limit :limit))
select memory_id, similarity, bm25 from found join best using (memory_id) order by similarity desc
""")
DELETE_VECTORS_SQL = text("""
delete from memory_vectors where memory_id = any(:ids) and generation in (
  select unnest(array[current, following]) from memory_vector_generations where name = :index)
""")
INSERT_INDEX_SQL = text("""
insert into memory_vector_generations (name, current, last)
select :index, max(last) + 1, max(last) + 1 from memory_vector_generations on conflict do nothing
""")
SELECT_EXISTING_IDS_SQL = build_statement(
    "select memory_id from memory_vectors where {current} and memory_id = any(:ids)"
)
SELECT_VECTORS_SQL = build_statement("""
select memory_id, cast(embedding as text) as vector from memory_vectors
where {current} and project_id = :project and memory_id = any(:ids)
""")
SELECT_IDS_PAGE_SQL = build_statement("""
select memory_id, project_id from memory_vectors
where {current} and (cast(:after as uuid) is null or memory_id > :after) order by memory_id limit :batch
""")
COUNT_VECTORS_SQL = build_statement("select count(*) from memory_vectors where {current}")
SET_EMBEDDER_SQL = text("""
update memory_vector_generations set embedder = :embedder, dimensions = :dimensions
where name = :index and embedder is null
""")
SELECT_EMBEDDER_SQL = text("select embedder, dimensions from memory_vector_generations where name = :index")
BEGIN_REBUILD_SQL = text("""
update memory_vector_generations
set following = newest.number + 1, last = newest.number + 1,
  following_embedder = :embedder, following_dimensions = :dimensions
from (select max(last) as number from memory_vector_generations) as newest
where name = :index returning following
""")
SWAP_GENERATIONS_SQL = text("""
update memory_vector_generations
set current = following, embedder = following_embedder, dimensions = following_dimensions,
  following = null, following_embedder = null, following_dimensions = null
where following = :generation returning current
""")
ABANDON_REBUILD_SQL = text("""
update memory_vector_generations set following = null, following_embedder = null, following_dimensions = null
where following = :generation
""")
DELETE_UNUSED_GENERATIONS_SQL = text("""
delete from memory_vectors where (memory_id, generation) in (
  select memory_id, generation from memory_vectors where generation not in (
    select current from memory_vector_generations
    union all select following from memory_vector_generations where following is not null)
  limit 10000)
returning memory_id
""")


class PgVectorIndex(WordSharesMixin):
    shared = True
    needs_rebuild = False

    def __init__(self, database: Database, embedder: str, dimensions: int, name: str) -> None:
        self._database = database
        self._index = {"index": name}
        self._embedder = {"embedder": embedder, "dimensions": dimensions, **self._index}
        self._words = WordSearch(database, table="memory_vectors", current=IN_CURRENT_GENERATION, values=self._index)
        self._removed: set[UUID] | None = None

    @classmethod
    async def open(
        cls, database: Database, embedder: str, dimensions: int, *, name: str = "default"
    ) -> "PgVectorIndex":
        index = cls(database, embedder, dimensions, name)
        async with database.system() as tx:
            await tx.execute(INSERT_INDEX_SQL, index._index)
            await tx.execute(SET_EMBEDDER_SQL, index._embedder)
        return index

    async def upsert(self, entries: Sequence[IndexEntry]) -> None:
        for project_id, step in in_project_steps(entries):
            async with self._database.transaction(project_id) as tx:
                values = {"project": project_id, **self._embedder, **entry_columns(step)}
                if (await tx.execute(UPSERT_VECTORS_SQL, values)).first() is None:
                    raise Unavailable(OTHER_EMBEDDER)

    async def remove(self, ids: Sequence[UUID]) -> None:
        if self._removed is not None:
            self._removed.update(ids)
        async with self._database.system() as tx:
            await tx.execute(DELETE_VECTORS_SQL, {"ids": list(ids), **self._index})

    async def find_candidates(
        self, scope: SearchScope, vector: Vector | Awaitable[Vector], text: str, limit: int
    ) -> list[Candidate]:
        vector = await resolve_vector(vector)
        terms = query_terms(text)
        if not terms.indices:
            return await self.find_similar(scope, vector, limit)
        words = await self._words.weigh_terms(scope, terms)
        values = {"vector": vector_literal(vector), "words": words, "limit": limit, **self._in(scope)}
        rows = await self._database.pipeline(scope.project_id, None, (SELECT_CANDIDATES_SQL, values))
        return [Candidate(row.memory_id, row.similarity, row.bm25) for row in rows]

    async def find_similar(self, scope: SearchScope, vector: Vector, limit: int) -> list[Candidate]:
        values = {"vector": vector_literal(vector), "limit": limit, **self._in(scope)}
        rows = await self._database.pipeline(scope.project_id, None, (SELECT_SIMILAR_SQL, values))
        return [Candidate(row.memory_id, row.similarity, None) for row in rows]

    async def find_by_words(self, scope: SearchScope, text: str, limit: int) -> list[Candidate]:
        terms = query_terms(text)
        if not terms.indices:
            return []
        words = await self._words.weigh_terms(scope, terms)
        return merge_scores({}, await self._words.find_best(scope, words, limit))

    async def load_vectors(self, project_id: UUID, ids: Sequence[UUID]) -> dict[UUID, Vector]:
        async with self._database.transaction(project_id) as tx:
            rows = await tx.execute(SELECT_VECTORS_SQL, {"project": project_id, "ids": list(ids), **self._index})
            return {row.memory_id: json.loads(row.vector) for row in rows}

    async def find_existing(self, ids: Sequence[UUID]) -> set[UUID]:
        async with self._database.system() as tx:
            return set((await tx.execute(SELECT_EXISTING_IDS_SQL, {"ids": list(ids), **self._index})).scalars())

    async def iterate_entries(self, batch: int = 1000) -> AsyncIterator[list[IndexedId]]:
        after: UUID | None = None
        while page := await self._page(after, batch):
            yield page
            after = page[-1].id

    async def count(self) -> int:
        async with self._database.system() as tx:
            return int((await tx.execute(COUNT_VECTORS_SQL, self._index)).scalar_one())

    async def built_with(self) -> tuple[str, int] | None:
        async with self._database.system() as tx:
            row = (await tx.execute(SELECT_EMBEDDER_SQL, self._index)).one()
        return None if row.embedder is None else (row.embedder, row.dimensions)

    async def start_rebuild(self, embedder: str, dimensions: int) -> "PgVectorRebuild":
        """Replaces an unfinished rebuild, because nothing tells whether its process is still alive."""
        async with self._database.system() as tx:
            values = {"embedder": embedder, "dimensions": dimensions, **self._index}
            generation = int((await tx.execute(BEGIN_REBUILD_SQL, values)).scalar_one())
        await self.delete_unused_generations()
        self._removed = set()
        return PgVectorRebuild(self, self._database, generation, self._removed)

    async def run_housekeeping(self) -> None:
        """Postgres vacuums by itself."""

    async def healthy(self) -> bool:
        try:
            return await self.built_with() is not None
        except SQLAlchemyError:
            return False

    async def close(self) -> None:
        """The caller closes the database."""

    async def swap_in(self, generation: int) -> None:
        async with self._database.system() as tx:
            swapped = (await tx.execute(SWAP_GENERATIONS_SQL, {"generation": generation})).first()
        if swapped is None:
            raise Conflict(REBUILD_REPLACED)
        self._removed = None
        await self.delete_unused_generations()

    async def delete_unused_generations(self) -> None:
        """In steps that stay far below the statement timeout."""
        deleted = 1
        while deleted:
            async with self._database.system() as tx:
                deleted = len((await tx.execute(DELETE_UNUSED_GENERATIONS_SQL)).all())

    def _in(self, scope: SearchScope) -> dict[str, object]:
        return {**scope_values(scope), **self._index}

    async def _page(self, after: UUID | None, batch: int) -> list[IndexedId]:
        async with self._database.system() as tx:
            rows = await tx.execute(SELECT_IDS_PAGE_SQL, {"after": after, "batch": batch, **self._index})
            return [IndexedId(row.memory_id, row.project_id) for row in rows]


class PgVectorRebuild:
    def __init__(self, index: PgVectorIndex, database: Database, generation: int, removed: set[UUID]) -> None:
        self._index = index
        self._database = database
        self._generation = generation
        self._removed = removed

    async def upsert(self, entries: Sequence[IndexEntry]) -> None:
        """Inserts only: a row that exists already was written meanwhile and is newer."""
        for project_id, step in in_project_steps([entry for entry in entries if entry.id not in self._removed]):
            values = {"generation": self._generation, "project": project_id, **entry_columns(step)}
            async with self._database.transaction(project_id) as tx:
                await tx.execute(INSERT_REBUILD_VECTORS_SQL, values)

    async def swap(self) -> None:
        await self._index.swap_in(self._generation)

    async def abandon(self) -> None:
        async with self._database.system() as tx:
            await tx.execute(ABANDON_REBUILD_SQL, {"generation": self._generation})
        await self._index.delete_unused_generations()


def entry_columns(entries: Sequence[IndexEntry]) -> dict[str, object]:
    return {"vectors": [vector_literal(entry.vector) for entry in entries], **entry_words(entries)}


def vector_literal(vector: Vector) -> str:
    return "[" + ",".join(str(float(part)) for part in vector) + "]"
