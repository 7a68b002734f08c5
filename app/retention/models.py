import datetime as dt

from sqlalchemy import Text, func
from sqlalchemy.orm import Mapped, mapped_column

from app.core.database.database import ProjectModel


class LegalHold(ProjectModel):
    """A user whose data must be kept: retention and erasure skip the user while the row exists."""

    __tablename__ = "legal_holds"

    user_id: Mapped[str] = mapped_column(Text)
    reason: Mapped[str | None] = mapped_column(Text)
    created_at: Mapped[dt.datetime] = mapped_column(server_default=func.now())
