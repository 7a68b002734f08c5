"""Users, agents, apps and runs. An entity exists once a memory names it or a client describes it."""

import datetime as dt
from collections.abc import Mapping, Sequence
from typing import Any, Literal, get_args

from sqlalchemy import Row, delete, func, text
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.orm import InstrumentedAttribute, Mapped, mapped_column

from app.core.database.database import ProjectModel
from app.core.database.repository import Repository
from app.core.errors import NotFound
from app.memory.ledger import Json, Memory

EntityType = Literal["user", "agent", "app", "run"]
ENTITY_TYPES: tuple[EntityType, ...] = get_args(EntityType)
ENTITY_COLUMNS: dict[EntityType, InstrumentedAttribute[str | None]] = {
    entity_type: getattr(Memory, f"{entity_type}_id") for entity_type in ENTITY_TYPES
}
_NAMED = " union all ".join(
    f"select '{entity_type}' as type, {column.key} as entity_id, count(*) as total, min(created_at) as first,"  # noqa: S608
    f" max(updated_at) as last from memories where project_id = :project_id and {column.key} is not null"
    " and kind <> 'message'"
    f" and (cast(:type as text) is null or :type = '{entity_type}')"
    f" and (cast(:name as text) is null or {column.key} = :name) group by {column.key}"
    for entity_type, column in ENTITY_COLUMNS.items()
)
# The number is for old clients, which delete by number: derived from the name, so that it need not be stored.
SELECT_ENTITIES_SQL = text(f"""
with named as ({_NAMED}), described as (
  select * from entities where project_id = :project_id
    and (cast(:type as text) is null or type = :type) and (cast(:name as text) is null or entity_id = :name)
), found as (
  select coalesce(n.type, d.type) as type, coalesce(n.entity_id, d.entity_id) as entity_id,
    coalesce(n.total, 0) as total, d.display_name, coalesce(d.metadata, '{{}}') as metadata,
    least(n.first, d.created_at) as created_at, greatest(n.last, d.updated_at) as updated_at
  from named n full join described d on d.type = n.type and d.entity_id = n.entity_id
)
select *, case when type = 'user' then greatest(updated_at, (
  select max(s.last_message_at) from sessions s where s.project_id = :project_id and s.user_id = entity_id))
  else updated_at end as last_active, hashtextextended(type || ':' || entity_id, 0) & 9007199254740991 as number
from found order by updated_at desc, type, entity_id
""")  # noqa: S608  # only our own column names are put together


class Entity(ProjectModel):
    """The description of an entity; its memories name it by `entity_id`."""

    __tablename__ = "entities"

    user_id: Mapped[str | None]
    type: Mapped[str]
    entity_id: Mapped[str]
    display_name: Mapped[str | None]
    metadata_: Mapped[dict[str, Any]] = mapped_column("metadata", Json, default=dict)
    created_at: Mapped[dt.datetime] = mapped_column(server_default=func.now())
    updated_at: Mapped[dt.datetime] = mapped_column(server_default=func.now())


class EntityRepository(Repository[Entity]):
    model = Entity
    noun = "entity"

    async def find_entities(self, kind: EntityType | None = None, name: str | None = None) -> Sequence[Row[Any]]:
        values = {"project_id": self.project_id, "type": kind, "name": name}
        return (await self.tx.execute(SELECT_ENTITIES_SQL, values)).all()

    async def get_entity(self, kind: EntityType, name: str) -> Row[Any]:
        for row in await self.find_entities(kind, name):
            return row
        raise NotFound(f"There is no such {kind}: no memory and no description has this name")

    async def get_name(self, kind: EntityType, number: int) -> str:
        for row in await self.find_entities(kind):
            if row.number == number:
                return str(row.entity_id)
        raise NotFound(f"There is no {kind} with this number: see GET /v1/entities/")

    async def describe(
        self, kind: EntityType, name: str, display_name: str | None, metadata: Mapping[str, object]
    ) -> None:
        description = {"display_name": display_name, "metadata": dict(metadata)}
        user_id = name if kind == "user" else None
        columns = Entity.__table__.c
        row = insert(Entity).values(
            {columns[column]: value for column, value in description.items()}
            | {columns.project_id: self.project_id, columns.user_id: user_id}
            | {columns.type: kind, columns.entity_id: name}
        )
        upsert = row.on_conflict_do_update(
            index_elements=["project_id", "type", "entity_id"], set_={**description, "updated_at": func.now()}
        )
        await self.tx.execute(upsert)

    async def forget(self, kind: EntityType, name: str) -> None:
        await self.tx.execute(delete(Entity).where(*self.mine(), Entity.type == kind, Entity.entity_id == name))
