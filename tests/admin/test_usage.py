import asyncio
import datetime as dt
import uuid
from dataclasses import replace
from typing import Any

import pytest
from fastapi import FastAPI
from sqlalchemy import text
from sqlalchemy.exc import SQLAlchemyError
from sqlalchemy.ext.asyncio import AsyncEngine

from app.adapters.in_process import InProcessCounters
from app.admin.usage_writer import UsageWriter
from app.core.database.database import Database
from app.core.observability.usage_counts import UsageCounts, UsageOf
from app.core.ports import Usage
from app.core.rate_limit import RateLimit, RateLimits
from app.core.resources import Resources
from app.main import create_app
from app.projects.token_usage import usage_statement
from app.worker import run_jobs
from tests.conftest import KeyHolder, MakeKey, SignedUp, open_client
from tests.patience import PATIENCE_SECONDS

USAGE = "/v1/admin/usage"


@pytest.fixture(scope="module")
def counts() -> UsageCounts:
    return UsageCounts()


@pytest.fixture(scope="module")
def app(resources: Resources, counts: UsageCounts) -> FastAPI:
    """An app whose counts are written by the test alone."""
    return create_app(replace(resources, usage=counts))


@pytest.fixture
def writer(resources: Resources, counts: UsageCounts) -> UsageWriter:
    return UsageWriter(resources.database, counts)


async def report(holder: KeyHolder | SignedUp, **query: str) -> dict[str, Any]:
    response = await holder.client.get(USAGE, params=query)
    assert response.status_code == 200, response.text
    body: dict[str, Any] = response.json()
    return body


async def test_requests_and_memories_are_counted_by_key(make_key: MakeKey, writer: UsageWriter) -> None:
    first, second = await make_key(), await make_key()
    body = {"messages": [{"role": "user", "content": "I like tea"}], "user_id": "anna", "infer": False}
    added = await first.client.post("/v3/memories/add/", json=body)
    assert added.status_code == 200, added.text
    await first.client.post("/v3/memories/add/", json=body)  # the same again adds nothing
    await second.client.get("/v1/profiles", params={"user_id": "anna"})
    await writer.write()
    days = (await report(first))["results"]
    assert [(day["requests"], day["memories"]) for day in days] == [(2, 1), (1, 0)]
    only = await report(first, key_id=days[1]["key_id"])
    assert only["total"].pop("latency").keys() == {"p50", "p95", "p99"}
    assert only["total"] == {
        **{"requests": 1, "throttled": 0, "memories": 0, "searches": 0, "jobs": 0, "jobs_failed": 0},
        **{"prompt_tokens": 0, "completion_tokens": 0, "cost": 0.0},
    }


async def test_people_are_counted_without_a_key(owner: SignedUp, writer: UsageWriter) -> None:
    await writer.write()
    [day] = (await report(owner))["results"]
    assert (day["key_id"], day["key_name"]) == (None, None)
    assert day["requests"] > 0


async def test_latencies_of_several_processes_are_added(resources: Resources, make_key: MakeKey) -> None:
    """Each process writes its own counts. 98 of 100 requests took 10 ms, and two took 4 s, in two processes."""
    key = await make_key()
    for seconds, times in ((0.010, 98), (4.0, 2)):
        counts = UsageCounts()
        for _ in range(times):
            counts.observe(UsageOf(key.project_id, None), seconds)
        await UsageWriter(resources.database, counts).write()
    counted = await report(key)
    assert counted["days"][0]["latency"] == counted["total"]["latency"]
    latency = counted["total"]["latency"]
    assert 7 < latency["p50"] < 13
    assert 7 < latency["p95"] < 13
    assert 2_500 < latency["p99"] < 5_000


async def test_usage_of_a_day_adds_its_keys(make_key: MakeKey, writer: UsageWriter) -> None:
    first, second = await make_key(), await make_key()
    for key in (first, second, second):
        await key.client.get("/v1/profiles", params={"user_id": "anna"})
    await writer.write()
    counted = await report(first)
    assert [day["requests"] for day in counted["days"]] == [3]
    assert sorted(day["requests"] for day in counted["results"]) == [1, 2]
    assert counted["days"][0]["day"] == counted["until"]


async def test_jobs_are_counted_for_their_project(
    resources: Resources, counts: UsageCounts, make_key: MakeKey, writer: UsageWriter
) -> None:
    key = await make_key()
    body = {"messages": [{"role": "user", "content": "I am vegetarian"}], "user_id": "anna"}
    event_id = (await key.client.post("/v3/memories/add/", json=body)).json()["event_id"]
    async with (
        asyncio.timeout(PATIENCE_SECONDS),
        run_jobs(replace(resources, usage=counts), concurrency=1, poll_seconds=0.1),
    ):
        while (await key.client.get(f"/v1/event/{event_id}/")).json()["status"] != "SUCCEEDED":  # noqa: ASYNC110
            await asyncio.sleep(0.05)
    await writer.write()
    total = (await report(key))["total"]
    assert total["jobs"] >= 1
    assert total["jobs_failed"] == 0


async def test_refused_requests_are_counted(
    resources: Resources, counts: UsageCounts, make_key: MakeKey, writer: UsageWriter
) -> None:
    key = await make_key()
    tight, wide = RateLimit("user", 2, 3600), RateLimit("other", 10_000, 60)
    limits = RateLimits(InProcessCounters(), user=tight, project=wide, account=wide, everyone=wide, chat=wide)
    app = create_app(replace(resources, limits=limits, usage=counts))
    async with open_client(app, key.key) as client:
        statuses = [(await client.get("/v1/usage")).status_code for _ in range(4)]
    assert statuses == [200, 200, 429, 429]
    await writer.write()
    total = (await report(key))["total"]
    assert total == {**total, "requests": 2, "throttled": 2}


async def test_tokens_are_counted_with_the_price_of_their_model(
    resources: Resources, project_id: uuid.UUID, make_key: MakeKey
) -> None:
    config = replace(resources.config, model="small", model_prices={"small": (0.5, 2.0), "large": (5.0, 20.0)})
    for model in (None, "large", "unpriced"):
        statement = usage_statement(config, project_id, Usage(1_000_000, 500_000), model=model)
        await resources.database.pipeline(project_id, None, statement)
    total = (await report(await make_key()))["total"]
    assert (total["prompt_tokens"], total["completion_tokens"]) == (3_000_000, 1_500_000)
    assert total["cost"] == 1.5 + 15.0


async def test_counts_that_cannot_be_written_are_kept(resources: Resources, project_id: uuid.UUID) -> None:
    counts = UsageCounts()
    counts.requests[UsageOf(project_id, None)] += 3
    counts.requests[UsageOf(uuid.uuid4(), None)] += 1  # a project that was deleted meanwhile
    unreachable = Database("postgresql+psycopg://keepsake_app@127.0.0.1:1/postgres")
    with pytest.raises(SQLAlchemyError):
        await UsageWriter(unreachable, counts).write()
    await unreachable.close()
    await UsageWriter(resources.database, counts).write()
    assert not counts
    async with resources.database.transaction(project_id) as tx:
        assert await tx.scalar(text("select requests from usage_by_day")) == 3


async def test_only_the_chosen_days_are_reported(
    owner: SignedUp, admin_engine: AsyncEngine, writer: UsageWriter
) -> None:
    await writer.write()
    async with admin_engine.begin() as connection:
        await connection.execute(
            text("insert into public.usage_by_day (project_id, day, requests) values (:id, '2020-02-02', 7)"),
            {"id": owner.project_id},
        )
    chosen = await report(owner, since="2020-02-01", until="2020-02-03")
    assert chosen["total"]["requests"] == 7
    today = dt.datetime.now(dt.UTC).date().isoformat()
    assert (await report(owner))["until"] == today
    too_long = await owner.client.get(USAGE, params={"since": "2020-01-01", "until": "2021-06-01"})
    assert too_long.status_code == 422
    assert "365 days" in too_long.json()["detail"]
    assert (await report(owner, until="0001-01-01"))["since"] == "0001-01-01"
