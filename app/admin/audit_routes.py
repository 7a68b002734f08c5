"""/v1/admin/audit: administrative actions, without content."""

import datetime as dt
from dataclasses import asdict, dataclass
from typing import Annotated, Any, Literal
from uuid import UUID

from fastapi import Depends, Query
from pydantic import AwareDatetime, BaseModel, Field
from sqlalchemy import Row, text

from app.core.database.pagination import Cursor, Limit, Page, read_cursor
from app.core.database.repository import cut_page
from app.core.http.strict_requests import own_router
from app.identity.administration import Administrative
from app.identity.caller import Admin
from app.identity.transaction import Transaction

router = own_router(prefix="/v1/admin/audit", tags=["Administration"], dependencies=[Administrative])


class ActorRead(BaseModel):
    type: Literal["account", "key", "operator", "server"]
    id: UUID | None = None


class AuditRead(BaseModel):
    id: UUID
    action: str = Field(description="A noun and what happened to it, such as `api_key.created`.")
    actor: ActorRead
    target_id: UUID
    project_id: UUID | None = Field(description="Null for what concerns the organization.")
    details: dict[str, Any] = Field(description="Names of changed fields, roles and scopes. Never content.")
    created_at: dt.datetime


SELECT_AUDIT_LOG_SQL = text("""
select id, action, actor, target_id, project_id, details, created_at from audit_log
where (cast(:action as text) is null or action = :action)
  and (cast(:actor_id as text) is null or actor in ('account:' || :actor_id, 'key:' || :actor_id))
  and (cast(:target_id as uuid) is null or target_id = :target_id)
  and (cast(:since as timestamptz) is null or created_at >= :since)
  and (cast(:until as timestamptz) is null or created_at < :until)
  and (cast(:last_at as timestamptz) is null or (created_at, id) < (:last_at, cast(:last_id as uuid)))
order by created_at desc, id desc limit :limit
""")


@dataclass(frozen=True, slots=True)
class AuditFilter:
    action: Annotated[str | None, Query(max_length=100)] = None
    actor_id: Annotated[UUID | None, Query(description="An account or a key.")] = None
    target_id: Annotated[UUID | None, Query()] = None
    since: Annotated[AwareDatetime | None, Query()] = None
    until: Annotated[AwareDatetime | None, Query()] = None


@router.get("")
async def list_audit_log(
    _: Admin, tx: Transaction, wanted: Annotated[AuditFilter, Depends()], limit: Limit = 50, cursor: Cursor = None
) -> Page[AuditRead]:
    """Lists who changed what, newest first: keys, members, invitations, projects, settings and webhooks.

    Owners of the organization also see what concerns the organization."""
    last_at, last_id = read_cursor(cursor) if cursor else (None, None)
    actor_id = str(wanted.actor_id) if wanted.actor_id else None
    values = {**asdict(wanted), "actor_id": actor_id, "last_at": last_at, "last_id": last_id, "limit": limit + 1}
    page = cut_page(list(await tx.execute(SELECT_AUDIT_LOG_SQL, values)), limit)
    return Page(results=[render(row) for row in page.results], next=page.next)


def render(row: Row[Any]) -> AuditRead:
    kind, _, actor_id = (row.actor or "server").partition(":")
    actor = ActorRead.model_validate({"type": kind, "id": actor_id or None})
    return AuditRead.model_validate({**row._mapping, "actor": actor})
