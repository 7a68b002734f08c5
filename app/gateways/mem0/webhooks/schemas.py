"""Webhooks in mem0's API, with two additions: a secret and a log of deliveries."""

import datetime as dt
from typing import Annotated, Literal
from urllib.parse import urlsplit

from pydantic import AfterValidator, BaseModel, Field, StringConstraints

from app.core.storable_text import no_nul
from app.projects.schemas import Name
from app.webhooks.models import DeliveryStatus, EventType, Webhook, WebhookDelivery


def _check_url(url: str) -> str:
    parts = urlsplit(url)
    if parts.scheme not in ("http", "https") or not parts.hostname or parts.username or parts.port == 0:
        raise ValueError("must be the URL of your receiver, such as https://example.com/hook")
    if not url.isascii() or any(letter.isspace() or ord(letter) < 32 for letter in url):
        raise ValueError("must not contain spaces or characters that a URL cannot contain")
    return url


def _unique(events: "list[EventType | IngestJobEvent]") -> "list[EventType | IngestJobEvent]":
    return list(dict.fromkeys(events))


Url = Annotated[
    str, StringConstraints(strip_whitespace=True, max_length=2000), AfterValidator(no_nul), AfterValidator(_check_url)
]
IngestJobEvent = Literal[
    "ingest_job_completed", "ingest_job_partially_completed", "ingest_job_failed", "ingest_job_cancelled"
]
"""mem0's events of uploaded files. They never happen here, because this server has no such uploads."""
Events = Annotated[list[EventType | IngestJobEvent], Field(min_length=1, max_length=20), AfterValidator(_unique)]


class WebhookCreate(BaseModel):
    url: Url
    name: Name
    event_types: Events


class WebhookPatch(BaseModel):
    url: Url | None = None
    name: Name | None = None
    event_types: Events | None = None
    is_active: bool | None = Field(
        None, description="false pauses the webhook; true resumes it with the deliveries that wait."
    )


class WebhookRead(BaseModel):
    webhook_id: str
    name: str
    url: str
    event_types: list[str]
    owner: str | None
    is_active: bool
    paused_at: dt.datetime | None = Field(description="When it was paused: by a client, or after failing for days.")
    failing_since: dt.datetime | None
    project: str
    created_at: dt.datetime
    updated_at: dt.datetime


class WebhookCreated(WebhookRead):
    secret: str = Field(description="The key to verify signatures with. It is shown only once.")


class DeliveryRead(BaseModel):
    id: str
    event_type: str
    memory_id: str | None = Field(description="Null for an event that concerns no single memory.")
    status: DeliveryStatus
    attempts: int
    response_status: int | None
    error: str | None
    created_at: dt.datetime
    attempted_at: dt.datetime | None
    next_attempt_at: dt.datetime | None
    delivered_at: dt.datetime | None


class DeliveryPage(BaseModel):
    results: list[DeliveryRead]
    next: str | None


def render_webhook(row: Webhook) -> WebhookRead:
    return WebhookRead(
        webhook_id=str(row.id),
        name=row.name,
        url=row.url,
        event_types=row.event_types,
        owner=None,
        is_active=row.is_active,
        paused_at=row.paused_at,
        failing_since=row.failing_since,
        project=str(row.project_id),
        created_at=row.created_at,
        updated_at=row.updated_at,
    )


def render_delivery(row: WebhookDelivery) -> DeliveryRead:
    return DeliveryRead(
        id=str(row.id),
        event_type=row.event_type,
        memory_id=str(row.memory_id) if row.memory_id else None,
        status=DeliveryStatus(row.status),
        attempts=row.attempts,
        response_status=row.response_status,
        error=row.error,
        created_at=row.created_at,
        attempted_at=row.attempted_at,
        next_attempt_at=row.next_attempt_at,
        delivered_at=row.delivered_at,
    )
