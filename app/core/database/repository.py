"""Project-scoped persistence: a repository cannot be built without a project."""

from collections.abc import Sequence
from typing import Any, Generic, TypeVar
from uuid import UUID

from sqlalchemy import ColumnElement, Select, select, tuple_
from sqlalchemy.exc import IntegrityError
from sqlalchemy.ext.asyncio import AsyncSession

from app.core.database.database import ProjectModel
from app.core.database.pagination import CursorRow, PageRows, read_cursor, write_cursor
from app.core.errors import Conflict, NotFound

M = TypeVar("M", bound=ProjectModel)


class Repository(Generic[M]):
    model: type[M]
    noun: str
    taken: str | None = None
    """The error message if a unique value is already taken."""

    def __init__(self, tx: AsyncSession, project_id: UUID, user_id: str | None = None) -> None:
        """`user_id` restricts the repository to one user's rows, for models with that column."""
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
                raise NotFound(f"This {self.noun} refers to an object that does not exist.") from error
            raise Conflict(self.taken or f"This {self.noun} already exists.") from error

    async def page(self, limit: int, cursor: str | None = None, *where: ColumnElement[bool]) -> PageRows[M]:
        """Newest first."""
        columns = self.model.__table__.c
        position = tuple_(columns.created_at, columns.id)
        query = self.rows.where(*where).order_by(columns.created_at.desc(), columns.id.desc()).limit(limit + 1)
        if cursor:
            query = query.where(position < read_cursor(cursor))
        return cut_page(list(await self.tx.scalars(query)), limit)


def cut_page(rows: Sequence[Any], limit: int) -> PageRows[Any]:
    """`rows` contains one row more than the limit if there is a next page."""
    page = rows[:limit]
    last: CursorRow | None = page[-1] if len(rows) > limit else None
    return PageRows(page, write_cursor(last) if last else None)
