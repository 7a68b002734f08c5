import datetime as dt
import uuid
from enum import StrEnum

from sqlalchemy import Text, func
from sqlalchemy.dialects.postgresql import JSONB
from sqlalchemy.orm import Mapped, mapped_column

from app.core.database.database import ProjectModel

CHUNK_BYTES = 1 << 20


class ExportState(StrEnum):
    PENDING = "pending"
    RUNNING = "running"
    FINISHED = "finished"
    FAILED = "failed"


class DataExport(ProjectModel):
    """An export that was requested over HTTP. Its file is in chunks of `CHUNK_BYTES`."""

    __tablename__ = "data_exports"

    user_id: Mapped[str | None]
    state: Mapped[str] = mapped_column(default=ExportState.PENDING)
    done: Mapped[int] = mapped_column(default=0)
    total: Mapped[int] = mapped_column(default=0)
    size: Mapped[int] = mapped_column(default=0)
    digest: Mapped[str | None]
    counts: Mapped[dict[str, int]] = mapped_column(JSONB, default=dict)
    error: Mapped[str | None] = mapped_column(Text)
    run_id: Mapped[uuid.UUID | None]
    created_at: Mapped[dt.datetime] = mapped_column(server_default=func.now())
    finished_at: Mapped[dt.datetime | None]
    expires_at: Mapped[dt.datetime] = mapped_column(server_default=func.now())


class DataExportChunk(ProjectModel):
    __tablename__ = "data_export_chunks"

    user_id: Mapped[str | None]
    export_id: Mapped[uuid.UUID]
    number: Mapped[int]
    content: Mapped[bytes]
