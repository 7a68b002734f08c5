"""Every route that takes filters limits what they cost and how long they take."""

import asyncio
import json
import time
import uuid
from collections.abc import Awaitable, Callable

import httpx
import pytest
from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncEngine

from app.core.database.database import Database
from app.core.errors import TooCostly
from app.memory.filters import filter_transaction
from app.memory.filters.transaction import FILTER_TIMEOUT_SECONDS

Ask = Callable[[httpx.AsyncClient, object], Awaitable[httpx.Response]]
ROUTES: dict[str, Ask] = {
    "search": lambda client, filters: client.post("/v3/memories/search/", json={"query": "tea", "filters": filters}),
    "search v2": lambda client, filters: client.post("/v2/memories/search/", json={"query": "tea", "filters": filters}),
    "list": lambda client, filters: client.post("/v3/memories/", json={"filters": filters}),
    "list v2": lambda client, filters: client.post("/v2/memories/", json={"filters": filters}),
    "summary": lambda client, filters: client.post("/v1/summary/", json={"filters": filters}),
    "export": lambda client, filters: client.post("/v1/exports/", json={"schema": {}, "filters": filters}),
    "delete": lambda client, filters: client.delete("/v1/memories/", params={"filters": json.dumps(filters)}),
}


def many_texts(count: int) -> object:
    return {"AND": [{"user_id": "ann"}, {"OR": [{"text": {"icontains": f"tea {number}"}} for number in range(count)]}]}


@pytest.mark.parametrize("route", ROUTES)
async def test_filters_that_cost_too_much_are_refused(route: str, client: httpx.AsyncClient) -> None:
    started_at = time.monotonic()
    refused = await ROUTES[route](client, many_texts(495))
    assert time.monotonic() - started_at >= TooCostly.delay_seconds, "repeating it at once must not cost the others"
    assert (refused.status_code, refused.json()["code"]) == (400, "filter_too_complex")
    assert (await ROUTES[route](client, many_texts(20))).status_code in (200, 201)


@pytest.mark.parametrize("path", ["/v3/memories/", "/v3/memories/search/"])
async def test_conditions_outside_filters_count_too(path: str, client: httpx.AsyncClient) -> None:
    metadata = {f"key {number}": number for number in range(300)}
    body = {"query": "tea", "filters": {"user_id": "ann", "metadata": metadata}}
    assert (await client.post(path, json=body)).status_code == 200
    refused = await client.post(path, json={**body, "metadata": metadata})
    assert (refused.status_code, refused.json()["code"]) == (400, "filter_too_complex")


async def test_filters_that_take_too_long_are_refused(client: httpx.AsyncClient, admin_engine: AsyncEngine) -> None:
    added = await client.post("/v3/memories/add/", json={"messages": "I like tea", "user_id": "ann", "infer": False})
    assert added.status_code == 200
    found = await client.post("/v3/memories/search/", json={"query": "tea", "filters": {"user_id": "ann"}})
    assert len(found.json()["results"]) == 1
    async with admin_engine.begin() as tx:
        await tx.execute(text("lock table memories in access exclusive mode"))
        filters = {"user_id": "ann", "metadata": {"topic": "tea"}}
        answers = await asyncio.gather(*(ROUTES[route](client, filters) for route in ("search", "list", "delete")))
    assert [(each.status_code, each.json()["code"]) for each in answers] == [(400, "filter_too_slow")] * 3


async def test_filters_have_a_time_limit_of_their_own(database: Database, project_id: uuid.UUID) -> None:
    """The limit of other statements is longer."""
    async with filter_transaction(database, None, project_id) as tx:
        assert await tx.scalar(text("show statement_timeout")) == f"{FILTER_TIMEOUT_SECONDS}s"
    async with database.transaction(project_id) as tx:
        assert await tx.scalar(text("show statement_timeout")) != f"{FILTER_TIMEOUT_SECONDS}s"
