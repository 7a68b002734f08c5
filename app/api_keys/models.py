import datetime as dt
import uuid

from sqlalchemy import ARRAY, Text, func
from sqlalchemy.orm import Mapped, mapped_column

from app.core.database.database import ProjectModel


class ApiKey(ProjectModel):
    __tablename__ = "api_keys"

    name: Mapped[str]
    prefix: Mapped[str]
    secret_hash: Mapped[bytes]
    previous_hash: Mapped[bytes | None]
    previous_until: Mapped[dt.datetime | None]
    scopes: Mapped[list[str]] = mapped_column(ARRAY(Text))
    created_by: Mapped[uuid.UUID | None]
    created_at: Mapped[dt.datetime] = mapped_column(server_default=func.now())
    expires_at: Mapped[dt.datetime | None]
    last_used_at: Mapped[dt.datetime | None]
    revoked_at: Mapped[dt.datetime | None]
    client_id: Mapped[str | None]
    """Of a grant to a client of OAuth. None for a key."""
    redirect_uri: Mapped[str | None]
    code_hash: Mapped[bytes | None]
    code_challenge: Mapped[str | None]
    code_until: Mapped[dt.datetime | None]
