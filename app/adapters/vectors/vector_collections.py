"""Which collection of an outside vector store is searched and which one is filled, recorded in Postgres.

One statement replaces a collection for the vectors and the words of all processes at once.
"""

from collections.abc import Sequence
from typing import NamedTuple

from sqlalchemy import text

from app.adapters.vectors.candidates import REBUILD_REPLACED
from app.core.database.database import Database
from app.core.errors import Conflict

SELECT_COLLECTIONS_SQL = text("""
select id, collection as name, embedder, dimensions, state from vector_collections where store = :store order by id
""")
INSERT_COLLECTION_SQL = text("""
insert into vector_collections (store, collection, state, embedder, dimensions)
values (:store, :name, :state, :embedder, :dimensions) on conflict do nothing returning id
""")
RETIRE_COLLECTION_SQL = text("""
update vector_collections set state = 'retired' where store = :store and state = :state
and (cast(:id as integer) is null or id = :id)
""")
SWAP_COLLECTION_SQL = text("""
update vector_collections set state = 'current' where store = :store and id = :id and state = 'following' returning id
""")
DELETE_COLLECTION_SQL = text("delete from vector_collections where id = :id and state = 'retired'")
DELETE_WORDS_OF_COLLECTION_SQL = text("""
delete from memory_words where collection_id = :id
and memory_id in (select memory_id from memory_words where collection_id = :id limit 10000) returning memory_id
""")


class VectorCollection(NamedTuple):
    id: int
    name: str
    embedder: str
    dimensions: int
    state: str

    @property
    def built_with(self) -> tuple[str, int]:
        return self.embedder, self.dimensions


class VectorCollections:
    """Those of one store, which is named by its kind and the collection of the settings."""

    def __init__(self, database: Database, store: str) -> None:
        self._database = database
        self._store = store

    async def load(self) -> list[VectorCollection]:
        rows = await self._database.system_pipeline((SELECT_COLLECTIONS_SQL, {"store": self._store}))
        return [VectorCollection(*row) for row in rows]

    async def add(self, name: str, embedder: str, dimensions: int, *, state: str) -> bool:
        """False if another process added one in that state first."""
        values = {"name": name, "state": state, "embedder": embedder, "dimensions": dimensions}
        return bool(await self._database.system_pipeline((INSERT_COLLECTION_SQL, {"store": self._store, **values})))

    async def retire(self, state: str, id: int | None = None) -> None:
        values = {"store": self._store, "state": state, "id": id}
        await self._database.system_pipeline((RETIRE_COLLECTION_SQL, values))

    async def swap(self, id: int) -> None:
        async with self._database.system() as tx:
            await tx.execute(RETIRE_COLLECTION_SQL, {"store": self._store, "state": "current", "id": None})
            if (await tx.execute(SWAP_COLLECTION_SQL, {"store": self._store, "id": id})).first() is None:
                raise Conflict(REBUILD_REPLACED)

    async def delete(self, collections: Sequence[VectorCollection]) -> None:
        """Removes retired collections and their words, in steps that stay far below the statement timeout."""
        for each in collections:
            while await self._database.system_pipeline((DELETE_WORDS_OF_COLLECTION_SQL, {"id": each.id})):
                pass
            await self._database.system_pipeline((DELETE_COLLECTION_SQL, {"id": each.id}))
