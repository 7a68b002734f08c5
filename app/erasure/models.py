"""What an erasure stores about itself: what it still has to do, and afterwards the counts alone."""

import datetime as dt
from collections.abc import Sequence
from enum import StrEnum
from typing import Any
from uuid import UUID

from pydantic import BaseModel
from sqlalchemy import Text, func
from sqlalchemy.dialects.postgresql import JSONB
from sqlalchemy.orm import Mapped, mapped_column

from app.core.database.database import ProjectModel


class SubjectKind(StrEnum):
    MEMORY = "memory"
    SESSION = "session"
    PROFILE = "profile"
    USER = "user"
    AGENT = "agent"
    APP = "app"
    RUN = "run"
    ACCOUNT = "account"


WHOLE_NAMESPACES = frozenset({SubjectKind.PROFILE, SubjectKind.USER, SubjectKind.ACCOUNT})
"""What erases every memory of a namespace, so that no neighbour is left that could repeat one."""


class ErasureState(StrEnum):
    RUNNING = "running"
    FINISHED = "finished"


class ErasureScope(BaseModel):
    """The rows that an erasure concerns, as they were found when it began."""

    owner_id: str | None = None
    """The user whose profiles or sessions these are."""
    user_id: str | None = None
    """Set if everything of this user is erased, also what is written meanwhile."""
    agent_id: str | None = None
    app_id: str | None = None
    run_id: str | None = None
    account_id: UUID | None = None
    closes_account: bool = False
    """Whether the account itself is deleted. Otherwise only what the project holds of it is."""
    entity_type: str | None = None
    entity_name: str | None = None
    profile_ids: list[UUID] = []
    session_ids: list[UUID] = []
    memory_ids: list[UUID] = []
    event_ids: list[UUID] = []
    namespaces: list[str] = []

    def without(
        self, *, memory_ids: Sequence[UUID], session_ids: Sequence[UUID], namespaces: Sequence[str]
    ) -> "ErasureScope":
        rest: dict[str, object] = {
            "memory_ids": sorted(set(self.memory_ids) - set(memory_ids)),
            "session_ids": sorted(set(self.session_ids) - set(session_ids)),
            "namespaces": sorted(set(self.namespaces) - set(namespaces)),
        }
        return self.model_copy(update=rest)

    def without_names(self) -> "ErasureScope":
        return ErasureScope(session_ids=self.session_ids, memory_ids=self.memory_ids, namespaces=self.namespaces)


class Erasure(ProjectModel):
    __tablename__ = "erasures"

    kind: Mapped[str]
    subject_hash: Mapped[bytes]
    requested_by: Mapped[str | None] = mapped_column(Text)
    state: Mapped[str] = mapped_column(default=ErasureState.RUNNING)
    subject: Mapped[str | None] = mapped_column(Text)
    scope: Mapped[dict[str, Any] | None] = mapped_column(JSONB(none_as_null=True))
    found: Mapped[dict[str, int]] = mapped_column(JSONB, default=dict)
    removed: Mapped[dict[str, int]] = mapped_column(JSONB, default=dict)
    remaining: Mapped[dict[str, int]] = mapped_column(JSONB, default=dict)
    leased_until: Mapped[dt.datetime | None]
    created_at: Mapped[dt.datetime] = mapped_column(server_default=func.now())
    finished_at: Mapped[dt.datetime | None]
    settled_at: Mapped[dt.datetime | None]
    vacuumed_at: Mapped[dt.datetime | None]
