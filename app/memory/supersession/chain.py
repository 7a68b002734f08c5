"""What a memory has replaced. All of a chain is in one namespace."""

from uuid import UUID

from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncSession

SELECT_REPLACED_SQL = text("""
with recursive replaced (id, namespace, depth) as (
  select m.id, m.namespace, 0 from memories m where m.project_id = :project_id and m.id = :id
  union
  select m.id, m.namespace, least(r.depth + 1, 2) from replaced r
  join memories m on m.project_id = :project_id and m.replaced_by = r.id and m.namespace = r.namespace
)
select id, min(depth) as depth from replaced where id <> :id group by id
""")


async def find_replaced(tx: AsyncSession, project_id: UUID, memory_id: UUID, *, directly: bool = False) -> list[UUID]:
    """The memories that this one has replaced, and those that they had replaced before, unless `directly`."""
    rows = await tx.execute(SELECT_REPLACED_SQL, {"project_id": project_id, "id": memory_id})
    return [row.id for row in rows if row.depth == 1 or not directly]
