from uuid import UUID

from sqlalchemy import ColumnElement, func, select, text

from app.core.database.repository import Repository
from app.core.errors import Conflict
from app.portability.exports.models import DataExport, DataExportChunk

KEPT_HOURS = 24
MAX_EXPORTS = 5
LOCK_EXPORTS_SQL = text("select pg_advisory_xact_lock(hashtextextended(:owner, 29))")


class DataExportRepository(Repository[DataExport]):
    model = DataExport
    noun = "export"

    def mine(self) -> list[ColumnElement[bool]]:
        return [*super().mine(), DataExport.expires_at > func.now()]

    async def request(self, user_id: str | None) -> DataExport:
        """A new export of a user's data or, without a user, of the project's."""
        await self.tx.execute(LOCK_EXPORTS_SQL, {"owner": f"{self.project_id}:{user_id or ''}"})
        same = DataExport.user_id.is_(None) if user_id is None else DataExport.user_id == user_id
        count = await self.tx.scalar(select(func.count()).select_from(DataExport).where(*self.mine(), same)) or 0
        if count >= MAX_EXPORTS:
            raise Conflict(
                f"There are {MAX_EXPORTS} exports of this data already. Fetch one of them, or delete one first.",
                code="too_many_exports",
            )
        expires_at = func.now() + func.make_interval(0, 0, 0, 0, KEPT_HOURS)
        return await self.add(user_id=user_id, expires_at=expires_at)


class DataExportChunkRepository(Repository[DataExportChunk]):
    model = DataExportChunk
    noun = "part of the export"

    async def read(self, export_id: UUID, number: int) -> bytes | None:
        """None if the export was deleted or has expired meanwhile."""
        own = (*self.mine(), DataExportChunk.export_id == export_id, DataExportChunk.number == number)
        row = (await self.tx.execute(select(DataExportChunk.content, DataExportChunk.export_id).where(*own))).first()
        return row.content if row else None
