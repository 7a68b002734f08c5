"""Vectors in Postgres: a namespace is read whole and compared exactly, so nothing is missed and nothing is approximate.

Words are a sparse vector of term weights; how rare each is, is counted over the rows of the scope alone.
"""

import json
import math
from collections import defaultdict
from collections.abc import AsyncIterator, Awaitable, Mapping, Sequence
from uuid import UUID

from qdrant_edge import SparseVector
from sqlalchemy import RowMapping, TextClause, text
from sqlalchemy.exc import SQLAlchemyError
from sqlalchemy.ext.asyncio import AsyncSession

from app.adapters.vectors.bm25 import document_terms, query_terms
from app.adapters.vectors.candidates import MADE_BY_ANOTHER, arrived
from app.core.database.database import Database
from app.core.errors import Conflict, Unavailable
from app.core.ports import Candidate, IndexedId, IndexEntry, SearchScope, Vector

# pgvector numbers the places of a sparse vector up to this.
PLACES = 1_000_000_000
STEP = 500
CURRENT = "generation = (select current from memory_vector_generations)"
IN_PROJECT = " and project_id = :project and (cast(:namespaces as text[]) is null or namespace = any(:namespaces))"
CORPUS = CURRENT + IN_PROJECT
SCOPE = CORPUS + " and (cast(:only as uuid[]) is null or memory_id = any(:only))"
ROWS = """
from unnest(cast(:ids as uuid[]), cast(:namespaces as text[]), cast(:vectors as text[]), cast(:words as text[]))
  as entry (id, namespace, vector, words)
"""
COLUMNS = "(memory_id, generation, project_id, namespace, embedding, words)"


def statement(sql: str) -> TextClause:
    """The conditions that several share are written once."""
    return text(sql.format(current=CURRENT, corpus=CORPUS, scope=SCOPE, rows=ROWS, columns=COLUMNS))


UPSERT = statement("""
insert into memory_vectors {columns}
select id, target, :project, namespace, cast(vector as vector), cast(words as sparsevec) {rows}
cross join (
  select current from memory_vector_generations where embedder = :embedder and dimensions = :dimensions
  union all select following from memory_vector_generations
  where following_embedder = :embedder and following_dimensions = :dimensions) as targets (target)
on conflict (memory_id, generation) do update
set namespace = excluded.namespace, embedding = excluded.embedding, words = excluded.words
returning memory_id
""")
FILL = statement("""
insert into memory_vectors {columns}
select id, :generation, :project, namespace, cast(vector as vector), cast(words as sparsevec) {rows}
on conflict do nothing
""")
SIMILAR = statement("""
select memory_id, 1 - (embedding <=> cast(:vector as vector)) as similarity from memory_vectors
where {scope} order by similarity desc, memory_id limit :limit
""")
FREQUENCIES = statement("""
with corpus as materialized (
  select words, words <#> cast(:words as sparsevec) < 0 as hit from memory_vectors where {corpus})
select (select count(*) from corpus) as total, array(
  select (select count(*) from corpus where hit and corpus.words <#> term.unit < 0)
  from unnest(cast(cast(:units as text[]) as sparsevec[])) with ordinality as term (unit, place)
  order by place) as frequencies
""")
CANDIDATES = statement("""
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
REMOVE = text("delete from memory_vectors where memory_id = any(:ids)")
PRESENT = statement("select memory_id from memory_vectors where {current} and memory_id = any(:ids)")
VECTORS = statement("""
select memory_id, cast(embedding as text) as vector from memory_vectors
where {current} and project_id = :project and memory_id = any(:ids)
""")
PAGE = statement("""
select memory_id, project_id from memory_vectors
where {current} and (cast(:after as uuid) is null or memory_id > :after) order by memory_id limit :batch
""")
COUNT = statement("select count(*) from memory_vectors where {current}")
MARK = text("""
update memory_vector_generations set embedder = :embedder, dimensions = :dimensions where embedder is null
""")
MADE_BY = text("select embedder, dimensions from memory_vector_generations")
BEGIN = text("""
update memory_vector_generations
set following = last + 1, last = last + 1, following_embedder = :embedder, following_dimensions = :dimensions
returning following
""")
SWAP = text("""
update memory_vector_generations
set current = following, embedder = following_embedder, dimensions = following_dimensions,
  following = null, following_embedder = null, following_dimensions = null
where following = :generation returning current
""")
ABANDON = text("""
update memory_vector_generations set following = null, following_embedder = null, following_dimensions = null
where following = :generation
""")
SWEEP = text("""
delete from memory_vectors where (memory_id, generation) in (
  select memory_id, generation from memory_vectors where generation not in (
    select current from memory_vector_generations
    union all select following from memory_vector_generations where following is not null)
  limit 10000)
returning memory_id
""")


class PgVectorIndex:
    def __init__(self, database: Database, embedder: str, dimensions: int) -> None:
        self._database = database
        self._live = {"embedder": embedder, "dimensions": dimensions}
        self._removed: set[UUID] | None = None

    @classmethod
    async def open(cls, database: Database, embedder: str, dimensions: int) -> "PgVectorIndex":
        index = cls(database, embedder, dimensions)
        async with database.system() as tx:
            await tx.execute(MARK, index._live)
        return index

    async def upsert(self, entries: Sequence[IndexEntry]) -> None:
        for project_id, step in in_projects(entries):
            async with self._database.transaction(project_id) as tx:
                values = {"project": project_id, **self._live, **to_columns(step)}
                if (await tx.execute(UPSERT, values)).first() is None:
                    raise Unavailable(MADE_BY_ANOTHER)

    async def remove(self, ids: Sequence[UUID]) -> None:
        if self._removed is not None:
            self._removed.update(ids)
        async with self._database.system() as tx:
            await tx.execute(REMOVE, {"ids": list(ids)})

    async def candidates(
        self, scope: SearchScope, vector: Vector | Awaitable[Vector], text: str, limit: int
    ) -> list[Candidate]:
        vector = await arrived(vector)
        terms = query_terms(text)
        if not terms.indices:
            return await self.similar(scope, vector, limit)
        where = to_values(scope)
        async with self._database.transaction(scope.project_id) as tx:
            words = await weigh(tx, terms, where)
            values = {"vector": to_vector(vector), "words": words, "limit": limit, **where}
            return [to_candidate(row) for row in (await tx.execute(CANDIDATES, values)).mappings()]

    async def similar(self, scope: SearchScope, vector: Vector, limit: int) -> list[Candidate]:
        values = {"vector": to_vector(vector), "limit": limit, **to_values(scope)}
        async with self._database.transaction(scope.project_id) as tx:
            return [to_candidate(row) for row in (await tx.execute(SIMILAR, values)).mappings()]

    async def vectors(self, project_id: UUID, ids: Sequence[UUID]) -> dict[UUID, Vector]:
        async with self._database.transaction(project_id) as tx:
            rows = await tx.execute(VECTORS, {"project": project_id, "ids": list(ids)})
            return {row.memory_id: json.loads(row.vector) for row in rows}

    async def present(self, ids: Sequence[UUID]) -> set[UUID]:
        async with self._database.system() as tx:
            return set((await tx.execute(PRESENT, {"ids": list(ids)})).scalars())

    async def walk(self, batch: int = 1000) -> AsyncIterator[list[IndexedId]]:
        after: UUID | None = None
        while page := await self._page(after, batch):
            yield page
            after = page[-1].id

    async def count(self) -> int:
        async with self._database.system() as tx:
            return int((await tx.execute(COUNT)).scalar_one())

    async def made_by(self) -> tuple[str, int] | None:
        async with self._database.system() as tx:
            row = (await tx.execute(MADE_BY)).one()
        return None if row.embedder is None else (row.embedder, row.dimensions)

    async def rebuild(self, embedder: str, dimensions: int) -> "PgVectorRebuild":
        """Takes the place of one that was never finished: nobody can tell whether its process still lives."""
        async with self._database.system() as tx:
            values = {"embedder": embedder, "dimensions": dimensions}
            generation = int((await tx.execute(BEGIN, values)).scalar_one())
        await self.sweep()
        self._removed = set()
        return PgVectorRebuild(self, self._database, generation, self._removed)

    async def settle(self) -> None:
        """Postgres keeps its own house."""

    async def healthy(self) -> bool:
        try:
            return await self.made_by() is not None
        except SQLAlchemyError:
            return False

    async def close(self) -> None:
        """The database belongs to somebody else."""

    async def take(self, generation: int) -> None:
        async with self._database.system() as tx:
            swapped = (await tx.execute(SWAP, {"generation": generation})).first()
        if swapped is None:
            raise Conflict("Another rebuild of the vector index has taken the place of this one")
        self._removed = None
        await self.sweep()

    async def sweep(self) -> None:
        """Generations nobody uses, in steps that stay far below the statement timeout."""
        deleted = 1
        while deleted:
            async with self._database.system() as tx:
                deleted = len((await tx.execute(SWEEP)).all())

    async def _page(self, after: UUID | None, batch: int) -> list[IndexedId]:
        async with self._database.system() as tx:
            rows = await tx.execute(PAGE, {"after": after, "batch": batch})
            return [IndexedId(row.memory_id, row.project_id) for row in rows]


class PgVectorRebuild:
    def __init__(self, index: PgVectorIndex, database: Database, generation: int, removed: set[UUID]) -> None:
        self._index = index
        self._database = database
        self._generation = generation
        self._removed = removed

    async def upsert(self, entries: Sequence[IndexEntry]) -> None:
        """What is there already was written meanwhile and is newer."""
        for project_id, step in in_projects([entry for entry in entries if entry.id not in self._removed]):
            values = {"generation": self._generation, "project": project_id, **to_columns(step)}
            async with self._database.transaction(project_id) as tx:
                await tx.execute(FILL, values)

    async def swap(self) -> None:
        await self._index.take(self._generation)

    async def abandon(self) -> None:
        async with self._database.system() as tx:
            await tx.execute(ABANDON, {"generation": self._generation})
        await self._index.sweep()


async def weigh(tx: AsyncSession, terms: SparseVector, where: Mapping[str, object]) -> str:
    """The query's terms, each with its rarity among the rows of the scope."""
    places = sorted({place(term) for term in terms.indices})
    units = [to_sparse({each: 1.0}) for each in places]
    words = to_sparse(dict.fromkeys(places, 1.0))
    row = (await tx.execute(FREQUENCIES, {"units": units, "words": words, **where})).one()
    return to_sparse({each: rarity(row.total, count) for each, count in zip(places, row.frequencies, strict=True)})


def rarity(total: int, containing: int) -> float:
    return math.log(1 + (total - containing + 0.5) / (containing + 0.5))


def in_projects(entries: Sequence[IndexEntry]) -> list[tuple[UUID, list[IndexEntry]]]:
    """One statement writes rows of one project, and no row twice: the last entry of an id counts."""
    by_project: dict[UUID, list[IndexEntry]] = defaultdict(list)
    for entry in {entry.id: entry for entry in entries}.values():
        by_project[entry.project_id].append(entry)
    return [(p, rows[at : at + STEP]) for p, rows in by_project.items() for at in range(0, len(rows), STEP)]


def to_columns(entries: Sequence[IndexEntry]) -> dict[str, object]:
    return {
        "ids": [entry.id for entry in entries],
        "namespaces": [entry.namespace for entry in entries],
        "vectors": [to_vector(entry.vector) for entry in entries],
        "words": [to_words(document_terms(entry.text)) for entry in entries],
    }


def to_values(scope: SearchScope) -> dict[str, object]:
    return {
        "project": scope.project_id,
        "namespaces": None if scope.namespaces is None else list(scope.namespaces),
        "only": None if scope.only is None else list(scope.only),
    }


def to_candidate(row: RowMapping) -> Candidate:
    return Candidate(row["memory_id"], row["similarity"], row.get("bm25"))


def to_vector(vector: Vector) -> str:
    return "[" + ",".join(str(float(part)) for part in vector) + "]"


def to_words(terms: SparseVector) -> str:
    weights: dict[int, float] = defaultdict(float)
    for term, weight in zip(terms.indices, terms.values, strict=True):
        weights[place(term)] += weight
    return to_sparse(weights)


def to_sparse(weights: Mapping[int, float]) -> str:
    return "{" + ",".join(f"{at}:{weight}" for at, weight in sorted(weights.items())) + f"}}/{PLACES}"


def place(term: int) -> int:
    return term % PLACES + 1
