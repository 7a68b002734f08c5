import datetime as dt
import uuid
from typing import Any

from sqlalchemy import func
from sqlalchemy.dialects.postgresql import JSONB
from sqlalchemy.orm import Mapped, mapped_column

from app.core.database.database import Model


class Organization(Model):
    __tablename__ = "organizations"

    id: Mapped[uuid.UUID] = mapped_column(primary_key=True, default=uuid.uuid4)
    name: Mapped[str]
    personal: Mapped[bool] = mapped_column(default=False)
    created_at: Mapped[dt.datetime] = mapped_column(server_default=func.now())


class OrganizationMember(Model):
    __tablename__ = "organization_members"

    organization_id: Mapped[uuid.UUID] = mapped_column(primary_key=True)
    account_id: Mapped[uuid.UUID] = mapped_column(primary_key=True)
    role: Mapped[str]
    joined: Mapped[str]
    """`created`, `accepted`, or `added` by another person, which never makes a project the default."""
    created_at: Mapped[dt.datetime] = mapped_column(server_default=func.now())


class Project(Model):
    __tablename__ = "projects"

    id: Mapped[uuid.UUID] = mapped_column(primary_key=True, default=uuid.uuid4)
    organization_id: Mapped[uuid.UUID]
    name: Mapped[str]
    description: Mapped[str | None]
    settings: Mapped[dict[str, Any]] = mapped_column(JSONB, default=dict)
    shared: Mapped[bool] = mapped_column(default=False)
    created_at: Mapped[dt.datetime] = mapped_column(server_default=func.now())
    updated_at: Mapped[dt.datetime] = mapped_column(server_default=func.now(), onupdate=func.now())


class ProjectEmbedder(Model):
    __tablename__ = "project_embedders"

    project_id: Mapped[uuid.UUID] = mapped_column(primary_key=True)
    chosen: Mapped[str]
    serving: Mapped[str]
    phase: Mapped[str]
    done: Mapped[int]
    total: Mapped[int]


class ProjectMember(Model):
    __tablename__ = "project_members"

    project_id: Mapped[uuid.UUID] = mapped_column(primary_key=True)
    account_id: Mapped[uuid.UUID] = mapped_column(primary_key=True)
    role: Mapped[str]
    joined: Mapped[str]
    """`created`, `accepted`, or `added` by another person, which never makes a project the default."""
    created_at: Mapped[dt.datetime] = mapped_column(server_default=func.now())


class Invitation(Model):
    __tablename__ = "invitations"

    id: Mapped[uuid.UUID] = mapped_column(primary_key=True, default=uuid.uuid4)
    organization_id: Mapped[uuid.UUID | None]
    project_id: Mapped[uuid.UUID | None]
    email: Mapped[str]
    role: Mapped[str]
    token_hash: Mapped[bytes]
    status: Mapped[str] = mapped_column(default="pending")
    invited_by: Mapped[uuid.UUID | None]
    account_id: Mapped[uuid.UUID | None]
    created_at: Mapped[dt.datetime] = mapped_column(server_default=func.now())
    expires_at: Mapped[dt.datetime]
    ended_at: Mapped[dt.datetime | None]
