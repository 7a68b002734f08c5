"""/v1/admin/usage: what a project and its keys used, day by day."""

import datetime as dt
from collections.abc import Sequence
from itertools import groupby
from operator import itemgetter
from typing import Annotated
from uuid import UUID

from fastapi import Query
from pydantic import BaseModel, Field
from sqlalchemy import RowMapping, text

from app.core.errors import Unprocessable
from app.core.http.strict_requests import own_router
from app.core.observability.latency import add_histograms, percentile_ms
from app.identity.administration import Administrative
from app.identity.caller import Admin
from app.identity.transaction import Transaction

router = own_router(prefix="/v1/admin/usage", tags=["Administration"], dependencies=[Administrative])
DEFAULT_DAYS = 30
MAX_DAYS = 366
SELECT_USAGE_SQL = text("""
select u.day, u.key_id, k.name as key_name, u.requests, u.throttled, u.memories, u.searches, u.jobs, u.jobs_failed,
  u.prompt_tokens, u.completion_tokens, u.cost::float8 as cost, u.latency as histogram
from usage_by_day u left join api_keys k on k.id = u.key_id and k.project_id = u.project_id
where u.project_id = :project_id and u.day between :since and :until
  and (cast(:key_id as uuid) is null or u.key_id = :key_id)
order by u.day desc, k.created_at nulls first, u.key_id
""")


class LatencyPercentiles(BaseModel):
    """In milliseconds, to the start of the response."""

    p50: float
    p95: float
    p99: float


class UsageCounted(BaseModel):
    requests: int = Field(description="Admitted requests.")
    throttled: int = Field(description="Requests refused by a rate limit.")
    memories: int = Field(description="Memories added.")
    searches: int = Field(description="Searches of memories, by chat turns too.")
    jobs: int = Field(description="Runs of background jobs of the project.")
    jobs_failed: int = Field(description="Runs that failed, also if they were repeated.")
    prompt_tokens: int
    completion_tokens: int
    cost: float = Field(description="Of the tokens, with LLM_PRICES at the time. 0 without prices.")
    latency: LatencyPercentiles | None = Field(description="Null without requests. Within about 20 %.")


class UsageOfDay(UsageCounted):
    day: dt.date = Field(description="In UTC.")


class UsageOfKey(UsageOfDay):
    key_id: UUID | None = Field(description="Null for people and for work in the background.")
    key_name: str | None


class UsageReport(BaseModel):
    since: dt.date
    until: dt.date
    total: UsageCounted
    days: list[UsageOfDay] = Field(description="All keys together. Days without requests, jobs or tokens are left out.")
    results: list[UsageOfKey]


COUNTED = [name for name in UsageCounted.model_fields if name != "latency"]


@router.get("")
async def get_usage_by_day(
    caller: Admin,
    tx: Transaction,
    since: Annotated[dt.date | None, Query(description="Default: 29 days before `until`.")] = None,
    until: Annotated[dt.date | None, Query(description="Default: today, in UTC.")] = None,
    key_id: Annotated[UUID | None, Query()] = None,
) -> UsageReport:
    """Returns requests and their latency, memories, jobs, tokens and their cost per day and API key, at most a year.

    Requests, memories and jobs appear within seconds. All processes of the server are counted."""
    last = until or dt.datetime.now(dt.UTC).date()
    first = since or last - min(dt.timedelta(days=DEFAULT_DAYS - 1), last - dt.date.min)
    if not 0 <= (last - first).days < MAX_DAYS:
        raise Unprocessable(f"`since` must be at most {MAX_DAYS - 1} days before `until`, and not after it.")
    values = {"project_id": caller.project_id, "since": first, "until": last, "key_id": key_id}
    rows = list((await tx.execute(SELECT_USAGE_SQL, values)).mappings())
    by_day = [(day, list(group)) for day, group in groupby(rows, key=itemgetter("day"))]
    return UsageReport(
        since=first,
        until=last,
        total=UsageCounted.model_validate(add_usage(rows)),
        days=[UsageOfDay.model_validate({"day": day, **add_usage(group)}) for day, group in by_day],
        results=[UsageOfKey.model_validate({**row, **add_usage([row])}) for row in rows],
    )


def add_usage(rows: Sequence[RowMapping]) -> dict[str, object]:
    counted = {name: sum(row[name] for row in rows) for name in COUNTED}
    return {**counted, "latency": read_percentiles([row["histogram"] for row in rows])}


def read_percentiles(histograms: Sequence[Sequence[int]]) -> LatencyPercentiles | None:
    histogram = add_histograms(histograms)
    shares = {"p50": 0.5, "p95": 0.95, "p99": 0.99}
    found = {name: percentile_ms(histogram, share) for name, share in shares.items()}
    return LatencyPercentiles.model_validate(found) if any(histogram) else None
