import datetime as dt
import uuid
from enum import StrEnum
from typing import Any

from sqlalchemy import Text, func
from sqlalchemy.dialects.postgresql import ARRAY, JSONB
from sqlalchemy.orm import Mapped, mapped_column

from app.core.database.database import ProjectModel


class EventType(StrEnum):
    MEMORY_ADD = "memory_add"
    MEMORY_UPDATE = "memory_update"
    MEMORY_DELETE = "memory_delete"
    MEMORY_CATEGORIZE = "memory_categorize"
    MEMORY_ARCHIVE = "memory_archive"
    MEMORY_RESTORE = "memory_restore"
    MEMORY_SUPERSEDE = "memory_supersede"
    RETENTION_RUN = "retention_run"


MEMORY_EVENTS = frozenset(each for each in EventType if each.startswith("memory_"))
"""Their deliveries contain what the memory says or how it was categorized."""


class DeliveryStatus(StrEnum):
    PENDING = "PENDING"
    DELIVERED = "DELIVERED"
    FAILED = "FAILED"


class Webhook(ProjectModel):
    """An endpoint that a project notifies of changes to its memories."""

    __tablename__ = "webhooks"

    name: Mapped[str]
    url: Mapped[str]
    event_types: Mapped[list[str]] = mapped_column(ARRAY(Text))
    secret_version: Mapped[int] = mapped_column(default=1)
    rotated_at: Mapped[dt.datetime | None]
    is_active: Mapped[bool] = mapped_column(default=True)
    paused_at: Mapped[dt.datetime | None]
    failures: Mapped[int] = mapped_column(default=0)
    failing_since: Mapped[dt.datetime | None]
    rests_until: Mapped[dt.datetime | None]
    created_at: Mapped[dt.datetime] = mapped_column(server_default=func.now())
    updated_at: Mapped[dt.datetime] = mapped_column(server_default=func.now())


class WebhookDelivery(ProjectModel):
    """One event for one webhook, sent or still to be sent."""

    __tablename__ = "webhook_deliveries"

    webhook_id: Mapped[uuid.UUID]
    event_type: Mapped[str]
    memory_id: Mapped[uuid.UUID | None]
    details: Mapped[dict[str, Any] | None] = mapped_column(JSONB(none_as_null=True))
    """Of an event that concerns no single memory."""
    status: Mapped[str] = mapped_column(default=DeliveryStatus.PENDING)
    attempts: Mapped[int] = mapped_column(default=0)
    response_status: Mapped[int | None]
    error: Mapped[str | None]
    created_at: Mapped[dt.datetime] = mapped_column(server_default=func.now())
    attempted_at: Mapped[dt.datetime | None]
    next_attempt_at: Mapped[dt.datetime | None]
    delivered_at: Mapped[dt.datetime | None]
