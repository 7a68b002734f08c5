"""/v1/admin/usage: what a project and its keys used, day by day."""

import datetime as dt
from typing import Annotated
from uuid import UUID

from fastapi import Query
from pydantic import BaseModel, Field
from sqlalchemy import text

from app.core.errors import Unprocessable
from app.core.http.strict_requests import own_router
from app.identity.administration import Administrative
from app.identity.caller import Admin
from app.identity.transaction import Transaction

router = own_router(prefix="/v1/admin/usage", tags=["Administration"], dependencies=[Administrative])
DEFAULT_DAYS = 30
MAX_DAYS = 366
SELECT_USAGE_SQL = text("""
select u.day, u.key_id, k.name as key_name, u.requests, u.throttled, u.memories, u.prompt_tokens, u.completion_tokens,
  u.cost::float8 as cost
from usage_by_day u left join api_keys k on k.id = u.key_id and k.project_id = u.project_id
where u.project_id = :project_id and u.day between :since and :until
  and (cast(:key_id as uuid) is null or u.key_id = :key_id)
order by u.day desc, k.created_at nulls first, u.key_id
""")


class UsageCounted(BaseModel):
    requests: int = Field(description="Admitted requests.")
    throttled: int = Field(description="Requests refused by a rate limit.")
    memories: int = Field(description="Memories added.")
    prompt_tokens: int
    completion_tokens: int
    cost: float = Field(description="Of the tokens, with LLM_PRICES at the time. 0 without prices.")


class UsageOfDay(UsageCounted):
    day: dt.date = Field(description="In UTC.")
    key_id: UUID | None = Field(description="Null for people and for work in the background.")
    key_name: str | None


class UsageReport(BaseModel):
    since: dt.date
    until: dt.date
    total: UsageCounted
    results: list[UsageOfDay]


@router.get("")
async def get_usage_by_day(
    caller: Admin,
    tx: Transaction,
    since: Annotated[dt.date | None, Query(description="Default: 29 days before `until`.")] = None,
    until: Annotated[dt.date | None, Query(description="Default: today, in UTC.")] = None,
    key_id: Annotated[UUID | None, Query()] = None,
) -> UsageReport:
    """Returns requests, memories, tokens and their cost per day and API key, at most a year at once.

    Requests and memories appear within seconds."""
    last = until or dt.datetime.now(dt.UTC).date()
    first = since or last - dt.timedelta(days=DEFAULT_DAYS - 1)
    if not 0 <= (last - first).days < MAX_DAYS:
        raise Unprocessable(f"`since` must be at most {MAX_DAYS - 1} days before `until`, and not after it.")
    values = {"project_id": caller.project_id, "since": first, "until": last, "key_id": key_id}
    days = [UsageOfDay.model_validate(row) for row in (await tx.execute(SELECT_USAGE_SQL, values)).mappings()]
    total = {name: sum(getattr(day, name) for day in days) for name in UsageCounted.model_fields}
    return UsageReport(since=first, until=last, total=UsageCounted.model_validate(total), results=days)
