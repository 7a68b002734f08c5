import datetime as dt

from sqlalchemy import func
from sqlalchemy.dialects.postgresql import JSONB
from sqlalchemy.orm import Mapped, mapped_column

from app.core.database.database import ProjectModel


class Profile(ProjectModel):
    """A named set of memories of one user. Exactly one of a user's profiles is the default."""

    __tablename__ = "profiles"
    content_columns = ("description", "persona")

    user_id: Mapped[str]
    name: Mapped[str]
    description: Mapped[str | None]
    persona: Mapped[str | None]
    is_default: Mapped[bool] = mapped_column(default=False)
    metadata_: Mapped[dict[str, str]] = mapped_column("metadata", JSONB, default=dict)
    """What an application notes about a profile that it uses as a store of documents."""
    archived_at: Mapped[dt.datetime | None]
    """Since when its documents cannot be changed."""
    created_at: Mapped[dt.datetime] = mapped_column(server_default=func.now())
    updated_at: Mapped[dt.datetime] = mapped_column(server_default=func.now(), onupdate=func.now())
