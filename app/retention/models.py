import datetime as dt
from typing import Any

from sqlalchemy import Text, func
from sqlalchemy.dialects.postgresql import JSONB
from sqlalchemy.orm import Mapped, mapped_column

from app.core.database.database import ProjectModel


class LegalHold(ProjectModel):
    """A user whose data must be kept: retention and erasure skip the user while the row exists."""

    __tablename__ = "legal_holds"

    user_id: Mapped[str] = mapped_column(Text)
    reason: Mapped[str | None] = mapped_column(Text)
    created_at: Mapped[dt.datetime] = mapped_column(server_default=func.now())


class RetentionRun(ProjectModel):
    """One application of the policy. `counts` has a `RuleCounts` for each rule by its name."""

    __tablename__ = "retention_runs"

    cause: Mapped[str]
    state: Mapped[str] = mapped_column(default="queued")
    policy: Mapped[dict[str, Any]] = mapped_column(JSONB)
    counts: Mapped[dict[str, dict[str, int]]] = mapped_column(JSONB, default=dict)
    error: Mapped[str | None] = mapped_column(Text)
    created_at: Mapped[dt.datetime] = mapped_column(server_default=func.now())
    updated_at: Mapped[dt.datetime] = mapped_column(server_default=func.now())
    started_at: Mapped[dt.datetime | None]
    finished_at: Mapped[dt.datetime | None]
