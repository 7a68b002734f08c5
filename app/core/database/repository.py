"""Project-scoped persistence: a repository cannot be built without a project."""

from collections.abc import Sequence
from typing import Any, Generic, TypeVar
from uuid import UUID

from sqlalchemy import ColumnElement, Select, select, tuple_
from sqlalchemy.exc import IntegrityError
from sqlalchemy.ext.asyncio import AsyncSession

from app.core.database.database import ProjectModel
from app.core.database.pagination import Placed, Rows, read_cursor, write_cursor
from app.core.errors import Conflict, NotFound

M = TypeVar("M", bound=ProjectModel)


class Repository(Generic[M]):
    model: type[M]
    noun: str
    taken: str | None = None
    """What to say where another row has what must be its own."""

    def __init__(self, tx: AsyncSession, project_id: UUID, user_id: str | None = None) -> None:
        """`user_id` narrows to one user's rows, for models that have that column."""
        self.tx = tx
        self.project_id = project_id
        self.user_id = user_id

    @property
    def rows(self) -> Select[M]:
        return select(self.model).where(*self.mine())

    def mine(self) -> list[ColumnElement[bool]]:
        conditions = [self.model.project_id == self.project_id]
        if self.user_id is not None:
            conditions.append(self.model.__table__.c.user_id == self.user_id)
        return conditions

    async def find(self, row_id: UUID) -> M | None:
        row: M | None = await self.tx.scalar(self.rows.where(self.model.id == row_id))
        return row

    async def get(self, row_id: UUID) -> M:
        row = await self.find(row_id)
        if row is None:
            raise NotFound(f"There is no {self.noun} {row_id}")
        return row

    async def add(self, **values: Any) -> M:
        row = self.model(project_id=self.project_id, **values)
        self.tx.add(row)
        await self.flush()
        return row

    async def update(self, row_id: UUID, **values: Any) -> M:
        row = await self.get(row_id)
        for name, value in values.items():
            setattr(row, name, value)
        await self.flush()
        return row

    async def delete(self, row_id: UUID) -> None:
        await self.tx.delete(await self.get(row_id))
        await self.flush()

    async def flush(self) -> None:
        try:
            await self.tx.flush()
        except IntegrityError as error:
            if getattr(error.orig, "sqlstate", None) == "23503":
                raise NotFound(f"This {self.noun} refers to something that does not exist") from error
            raise Conflict(self.taken or f"There already is such a {self.noun}") from error

    async def page(self, limit: int, cursor: str | None = None, *where: ColumnElement[bool]) -> Rows[M]:
        """Newest first."""
        columns = self.model.__table__.c
        place = tuple_(columns.created_at, columns.id)
        query = self.rows.where(*where).order_by(columns.created_at.desc(), columns.id.desc()).limit(limit + 1)
        if cursor:
            query = query.where(place < read_cursor(cursor))
        return cut_page(list(await self.tx.scalars(query)), limit)


def cut_page(rows: Sequence[Any], limit: int) -> Rows[Any]:
    """Rows were asked for with one more than the limit: its presence says that there is a next page."""
    kept = rows[:limit]
    last: Placed | None = kept[-1] if len(rows) > limit else None
    return Rows(kept, write_cursor(last) if last else None)
