"""The order in which transactions lock memories: first the chains of a namespace, then all rows in the order of ids.

Two transactions that lock the same rows in different orders end in a deadlock, which Postgres resolves by failing one
of them. So a transaction that changes several memories locks all of them at once, before it changes the first.

The lock of the chains comes first, because two transactions that each add a link could close a cycle that neither sees,
and a deletion could link a memory anew that was replaced while it waited for its rows."""

from collections.abc import Sequence
from uuid import UUID

from sqlalchemy import Uuid, text
from sqlalchemy.ext.asyncio import AsyncSession

LOCK_CHAINS_SQL = text("""
select pg_advisory_xact_lock(locked.key) from (
  select distinct hashtextextended('supersession:' || namespace, 0) as key from memories
  where project_id = :project_id and id = any(:ids) order by key) locked
""")
LOCK_CHAINS_OF_NAMESPACE_SQL = text("""
select pg_advisory_xact_lock(hashtextextended('supersession:' || cast(:namespace as text), 0))
""")
# What these memories replaced is linked anew when they are deleted. The summary of a deleted episode is deleted, too,
# and its other episodes are current again.
LOCK_LINKED_MEMORIES_SQL = text("""
with summaries as (select id from private.summaries_of(:project_id, :ids))
select id from memories where project_id = :project_id and id in (
  select unnest(cast(:ids as uuid[]))
  union select unnest(cast(:others as uuid[]))
  union select id from summaries
  union select id from memories where project_id = :project_id and replaced_by is not null
    and (replaced_by = any(:ids) or replaced_by = any(array(select id from summaries))))
order by id for update
""")
# A change of an episode deletes its summary, and the other episodes of that are current again.
SELECT_CHANGED_WITH_SQL = text("""
with summaries as (
  select s.id from private.summaries_of(:project_id, array[cast(:id as uuid)]) s
)
select cast(:id as uuid) as id
union select id from summaries
union select id from memories where project_id = :project_id and replaced_by is not null
  and replaced_by = any(array(select id from summaries))
""").columns(id=Uuid())


async def lock_chains(tx: AsyncSession, project_id: UUID, ids: Sequence[UUID]) -> None:
    """Of all namespaces of these memories, in one order."""
    await tx.execute(LOCK_CHAINS_SQL, {"project_id": project_id, "ids": list(ids)})


async def lock_chains_of_namespace(tx: AsyncSession, namespace: str) -> None:
    await tx.execute(LOCK_CHAINS_OF_NAMESPACE_SQL, {"namespace": namespace})


async def lock_linked(tx: AsyncSession, project_id: UUID, ids: Sequence[UUID], others: Sequence[UUID] = ()) -> None:
    """These memories, those that they replaced, and others that the transaction changes."""
    values = {"project_id": project_id, "ids": list(ids), "others": list(others)}
    await tx.execute(LOCK_LINKED_MEMORIES_SQL, values)
