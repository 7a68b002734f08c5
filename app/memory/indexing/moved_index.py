"""A move to another vector store: the command `reindex` fills the new store while servers go on writing to the old one.

So the first start with the new store indexes again what changed meanwhile, and removes what was deleted meanwhile.
"""

import datetime as dt

from sqlalchemy import text

from app.core.database.database import Database
from app.core.resources import Resources
from app.memory.indexing.rebuild import MARK_CHANGED_PENDING_SQL, SELECT_NOW_SQL
from app.memory.indexing.repair import remove_orphans, sweep

UPSERT_MOVE_SQL = text("""
insert into maintenance (name, done, total, state, updated_at) values (:name, 0, 0, 'finished', :started)
on conflict (name) do update set updated_at = excluded.updated_at
""")
DELETE_MOVE_SQL = text("delete from maintenance where name = :name returning updated_at")


async def read_clock(database: Database) -> dt.datetime:
    async with database.system() as tx:
        now: dt.datetime = (await tx.execute(SELECT_NOW_SQL)).scalar_one()
        return now


async def record_move(database: Database, store: str, started: dt.datetime) -> None:
    """`started` is when the first memory was read for the new index."""
    async with database.system() as tx:
        await tx.execute(UPSERT_MOVE_SQL, {"name": name_of_move(store), "started": started})


async def complete_move(resources: Resources) -> None:
    """Does nothing unless `reindex` filled this store since the last start."""
    async with resources.database.system() as tx:
        started = await tx.scalar(DELETE_MOVE_SQL, {"name": name_of_move(resources.config.vector_store)})
        if started is None:
            return
        await tx.execute(MARK_CHANGED_PENDING_SQL, {"started": started})
    await sweep(resources, older_than_seconds=0)
    await remove_orphans(resources)


def name_of_move(store: str) -> str:
    return f"move to {store}"
