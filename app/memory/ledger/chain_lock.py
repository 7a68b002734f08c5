"""The lock of the chains of a namespace: a transaction that adds or removes a link takes it before any row.

Two transactions that each add a link could close a cycle that neither sees, and a deletion could link a memory anew
that was replaced while it waited for its rows, against the order in which rows are locked."""

from collections.abc import Sequence
from uuid import UUID

from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncSession

LOCK_CHAINS_SQL = text("""
select pg_advisory_xact_lock(locked.key) from (
  select distinct hashtextextended('supersession:' || namespace, 0) as key from memories
  where project_id = :project_id and id = any(:ids) order by key) locked
""")


async def lock_chains(tx: AsyncSession, project_id: UUID, ids: Sequence[UUID]) -> None:
    """Of all namespaces of these memories, in one order."""
    await tx.execute(LOCK_CHAINS_SQL, {"project_id": project_id, "ids": list(ids)})
