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
DUPLICATE = "duplicate"
"""The reason in the history of a memory that was merged into another one."""
SELECT_MERGED_SQL = text(f"""
with recursive merged (id, namespace) as (
  select m.id, m.namespace from memories m where m.project_id = :project_id and m.id = :id
  union
  select m.id, m.namespace from merged r
  join memories m on m.project_id = :project_id and m.replaced_by = r.id and m.namespace = r.namespace
  where (select h.metadata ->> 'reason' from memory_history h
    where h.project_id = m.project_id and h.memory_id = m.id and h.event = 'SUPERSEDE'
    order by h.position desc limit 1) = '{DUPLICATE}'
)
select id from merged where id <> :id
""")  # noqa: S608  # only our own constant is put into it


async def find_replaced(tx: AsyncSession, project_id: UUID, memory_id: UUID, *, directly: bool = False) -> list[UUID]:
    """The memories that this one has replaced, and those that they had replaced before, unless `directly`."""
    rows = await tx.execute(SELECT_REPLACED_SQL, {"project_id": project_id, "id": memory_id})
    return [row.id for row in rows if row.depth == 1 or not directly]


async def find_merged(tx: AsyncSession, project_id: UUID, memory_id: UUID) -> list[UUID]:
    """The memories that say the same and were merged into this one, directly or through others."""
    return list(await tx.scalars(SELECT_MERGED_SQL, {"project_id": project_id, "id": memory_id}))
