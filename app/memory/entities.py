"""Users, agents, apps and runs: they exist as soon as a memory names them, or because somebody described them."""

import datetime as dt
from collections.abc import Mapping, Sequence
from typing import Any, Literal

from sqlalchemy import Row, delete, func, text
from sqlalchemy.dialects.postgresql import JSONB, insert
from sqlalchemy.orm import InstrumentedAttribute, Mapped, mapped_column

from app.core.database.database import ProjectModel
from app.core.database.repository import Repository
from app.core.errors import NotFound
from app.memory.ledger.models import Memory

Type = Literal["user", "agent", "app", "run"]
COLUMNS: dict[Type, InstrumentedAttribute[str | None]] = {
    "user": Memory.user_id,
    "agent": Memory.agent_id,
    "app": Memory.app_id,
    "run": Memory.run_id,
}
NAMED = " union all ".join(
    f"select '{name}' as type, {name}_id as entity_id, count(*) as total, min(created_at) as first,"  # noqa: S608
    f" max(updated_at) as last from memories where project_id = :project_id and {name}_id is not null"
    f" and (cast(:type as text) is null or :type = '{name}') and (cast(:name as text) is null or {name}_id = :name)"
    f" group by {name}_id"
    for name in COLUMNS
)
# Each has a number because old clients delete by number: taken from the name, so that nothing must keep it.
LIST = text(f"""
with named as ({NAMED}), described as (
  select * from entities where project_id = :project_id
    and (cast(:type as text) is null or type = :type) and (cast(:name as text) is null or entity_id = :name)
), found as (
  select coalesce(n.type, d.type) as type, coalesce(n.entity_id, d.entity_id) as entity_id,
    coalesce(n.total, 0) as total, d.display_name, coalesce(d.metadata, '{{}}') as metadata,
    least(n.first, d.created_at) as created_at, greatest(n.last, d.updated_at) as updated_at
  from named n full join described d on d.type = n.type and d.entity_id = n.entity_id
)
select *, hashtextextended(type || ':' || entity_id, 0) & 9007199254740991 as number
from found order by updated_at desc, type, entity_id
""")  # noqa: S608  # only our own column names are put together


class Entity(ProjectModel):
    """What is said about an entity besides its memories."""

    __tablename__ = "entities"

    user_id: Mapped[str | None]
    type: Mapped[str]
    entity_id: Mapped[str]
    display_name: Mapped[str | None]
    metadata_: Mapped[dict[str, Any]] = mapped_column("metadata", JSONB(none_as_null=True), default=dict)
    created_at: Mapped[dt.datetime] = mapped_column(server_default=func.now())
    updated_at: Mapped[dt.datetime] = mapped_column(server_default=func.now())


class EntityRepository(Repository[Entity]):
    model = Entity
    noun = "entity"

    async def everyone(self, kind: Type | None = None, name: str | None = None) -> Sequence[Row[Any]]:
        values = {"project_id": self.project_id, "type": kind, "name": name}
        return (await self.tx.execute(LIST, values)).all()

    async def one(self, kind: Type, name: str) -> Row[Any]:
        for row in await self.everyone(kind, name):
            return row
        raise NotFound(f"There is no such {kind}: nothing was ever remembered under this name")

    async def by_number(self, kind: Type, number: int) -> str:
        for row in await self.everyone(kind):
            if row.number == number:
                return str(row.entity_id)
        raise NotFound(f"There is no {kind} with this number: see GET /v1/entities/")

    async def describe(self, kind: Type, name: str, display_name: str | None, metadata: Mapping[str, object]) -> None:
        said = {"display_name": display_name, "metadata": dict(metadata)}
        whose = name if kind == "user" else None
        table = Entity.__table__
        row = insert(Entity).values(
            {table.c[column]: value for column, value in said.items()}
            | {table.c.project_id: self.project_id, table.c.user_id: whose, table.c.type: kind, table.c.entity_id: name}
        )
        again = row.on_conflict_do_update(
            index_elements=["project_id", "type", "entity_id"], set_={**said, "updated_at": func.now()}
        )
        await self.tx.execute(again)

    async def forget(self, kind: Type, name: str) -> None:
        await self.tx.execute(delete(Entity).where(*self.mine(), Entity.type == kind, Entity.entity_id == name))
