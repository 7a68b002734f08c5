import datetime as dt
import uuid
from typing import Any

from sqlalchemy import FetchedValue, func
from sqlalchemy.dialects.postgresql import JSONB
from sqlalchemy.orm import Mapped, mapped_column

from app.core.database.database import ProjectModel

NOT_MEMORABLE = frozenset({"interrupted", "about_forgetting"})


class Session(ProjectModel):
    """One conversation of a user under a profile, with a privacy mode."""

    __tablename__ = "sessions"
    content_columns = ("title", "summary")

    user_id: Mapped[str]
    profile_id: Mapped[uuid.UUID]
    privacy_mode: Mapped[str] = mapped_column(default="normal")
    title: Mapped[str | None]
    summary: Mapped[str | None]
    summary_through: Mapped[int | None]
    """The position of the last message that the summary covers."""
    created_at: Mapped[dt.datetime] = mapped_column(server_default=func.now())
    updated_at: Mapped[dt.datetime] = mapped_column(server_default=func.now(), onupdate=func.now())
    last_message_at: Mapped[dt.datetime | None]
    turn_id: Mapped[uuid.UUID | None]
    turn_until: Mapped[dt.datetime | None]


class Message(ProjectModel):
    """One message of a session. Messages in incognito are never stored here."""

    __tablename__ = "messages"
    content_columns = ("content",)

    user_id: Mapped[str]
    session_id: Mapped[uuid.UUID]
    position: Mapped[int] = mapped_column(server_default=FetchedValue())
    role: Mapped[str]
    content: Mapped[str]
    privacy_mode: Mapped[str] = mapped_column(default="normal")
    importance: Mapped[float | None]
    metadata_: Mapped[dict[str, Any]] = mapped_column("metadata", JSONB, default=dict)
    prompt_tokens: Mapped[int | None]
    completion_tokens: Mapped[int | None]
    created_at: Mapped[dt.datetime] = mapped_column(server_default=func.now())

    @property
    def teaches(self) -> bool:
        """Whether the message may be memorized: sent in normal mode, complete, and not about forgetting."""
        return self.privacy_mode == "normal" and not NOT_MEMORABLE & self.metadata_.keys()
