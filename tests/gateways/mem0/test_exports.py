"""Structured exports, with mem0's own client."""

import asyncio
import json

import httpx
import pytest
from mem0.exceptions import MemoryNotFoundError, ValidationError
from sqlalchemy import text

from app.core.jobs import defer
from app.core.resources import Resources
from app.gateways.mem0.jobs import delete_old_exports
from app.worker import run_jobs
from tests.conftest import KeyHolder, MakeKey, SignUp
from tests.gateways.mem0.conftest import Connect
from tests.patience import PATIENCE_SECONDS

SCHEMA = {"properties": {"city": {"type": "string"}, "tags": {"type": "array"}, "memories": {}, "age": {}}}
ANNA = {"user_id": "anna"}


async def test_export_has_the_structure_of_its_schema(connect: Connect, make_key: MakeKey) -> None:
    mem0 = await connect((await make_key()).key)
    places: list[dict[str, object]] = [{"city": "Paris", "tags": ["a"]}, {"city": "Rome", "tags": "b"}]
    for number, more in enumerate(places):
        said = {"user_id": "anna", "infer": False, "metadata": more, "timestamp": 1_700_000_000 + number}
        await asyncio.to_thread(mem0.add, f"I visited {more['city']}", **said)
    made = await asyncio.to_thread(mem0.create_memory_export, schema=SCHEMA, filters=ANNA)
    expected = {
        "city": "Rome",
        "tags": ["b", "a"],
        "memories": ["I visited Rome", "I visited Paris"],
        "age": None,
    }
    assert await asyncio.to_thread(mem0.get_memory_export, memory_export_id=made["id"]) == expected
    assert await asyncio.to_thread(mem0.get_memory_export, filters=ANNA) == expected


async def test_unknown_export_is_not_found(connect: Connect, make_key: MakeKey) -> None:
    mem0 = await connect((await make_key()).key)
    with pytest.raises(MemoryNotFoundError, match="No memory export request found"):
        await asyncio.to_thread(mem0.get_memory_export, filters=ANNA)
    with pytest.raises(ValidationError):
        await asyncio.to_thread(mem0.create_memory_export, schema=SCHEMA)


SET_AGE_SQL = text("update memory_exports set created_at = now() - make_interval(hours => :hours) where id = :id")


async def asked(holder: KeyHolder, resources: Resources, hours_ago: int) -> str:
    made = (await holder.client.post("/v1/exports/", json={"schema": SCHEMA, "filters": ANNA})).json()
    async with resources.database.transaction(holder.project_id) as tx:
        await tx.execute(SET_AGE_SQL, {"hours": hours_ago, "id": made["id"]})
    return str(made["id"])


async def test_export_is_kept_for_a_week(make_key: MakeKey, resources: Resources) -> None:
    holder = await make_key()
    old, young = await asked(holder, resources, 7 * 24 + 1), await asked(holder, resources, 7 * 24 - 1)

    async def fetch(export: str) -> httpx.Response:
        return await holder.client.post("/v1/exports/get/", json={"memory_export_id": export})

    assert (await fetch(old)).status_code == 200
    async with run_jobs(resources, concurrency=1, poll_seconds=0.1), asyncio.timeout(PATIENCE_SECONDS):
        async with resources.database.system() as tx:
            await defer(tx, delete_old_exports, timestamp=0)
        while (await fetch(old)).status_code != 404:  # noqa: ASYNC110  # a job takes it away
            await asyncio.sleep(0.05)
    assert (await fetch(young)).status_code == 200


async def test_export_schema_may_be_text(connect: Connect, make_key: MakeKey) -> None:
    mem0 = await connect((await make_key()).key)
    await asyncio.to_thread(mem0.create_memory_export, schema=json.dumps(SCHEMA), filters=ANNA)
    assert set(await asyncio.to_thread(mem0.get_memory_export, filters=ANNA)) == set(SCHEMA["properties"])
    with pytest.raises(ValidationError, match="`schema`: takes a JSON schema"):
        await asyncio.to_thread(mem0.create_memory_export, schema="{", filters=ANNA)


@pytest.mark.parametrize("asked", [{}, {"filters": None}, {"filters": {}}, {"filters": "{}"}])
async def test_export_without_filters_is_found_without_filters(sign_up: SignUp, asked: dict[str, object]) -> None:
    person = await sign_up()
    assert (await person.client.post("/v1/exports/", json={"schema": {"properties": {"age": {}}}})).status_code == 201
    found = await person.client.post("/v1/exports/get/", json=asked)
    assert (found.status_code, found.json()) == (200, {"age": None})


@pytest.mark.parametrize(
    "filters", ["NaN", "1", "true", '"x"', "[]", '{"metadata": {"a": NaN}}', '{"user_id": "\\ud800"}']
)
async def test_export_query_refuses_invalid_filters(client: httpx.AsyncClient, filters: str) -> None:
    answer = await send_text(client, "/v1/exports/get/", f'{{"filters": {filters}}}')
    assert answer.status_code == 400, answer.text


@pytest.mark.parametrize("schema", ['{"a": NaN}', '{"\\ud800": 1}', '{"a": "\\u0000"}', '"[]"', "5"])
async def test_export_refuses_a_schema_that_cannot_be_stored(client: httpx.AsyncClient, schema: str) -> None:
    answer = await send_text(client, "/v1/exports/", f'{{"schema": {schema}, "filters": {{"user_id": "anna"}}}}')
    assert answer.status_code == 400, answer.text
    assert "`schema" in answer.json()["detail"]


async def send_text(client: httpx.AsyncClient, path: str, written: str) -> httpx.Response:
    """httpx does not serialize NaN and unpaired surrogates."""
    return await client.post(path, content=written, headers={"Content-Type": "application/json"})
