"""A real server with Redis: nothing of an erased user is in any row, key or file, in any form."""

import asyncio
from contextlib import aclosing
from pathlib import Path

import httpx
import pytest

from tests.chat.conversation import AdminRows, start_conversation
from tests.e2e.redis_server import RedisServer
from tests.e2e.server import serving
from tests.erasure.planting import Planted
from tests.erasure.scan import compact, opened_place, sign_in
from tests.model_server import Facts, ModelServer, Says

RUN_LAST_LOOK_NOW_SQL = "update jobs.procrastinate_jobs set scheduled_at = now() where task_name = 'erasure.complete'"


async def use(client: httpx.AsyncClient, models: ModelServer, planted: Planted) -> None:
    """As applications do: a chat, in incognito as well, memories with agents, and messages."""
    models.always(Says(f"I see, {planted.next_marker()}"))
    models.extraction(Facts(f"User likes {planted.next_marker()}"))
    session = await start_conversation(client, planted.project_id, "normal", planted.user_id)
    answer = await session.send(f"My name is {planted.next_marker()}")
    for _ in range(600):
        event = (await client.get(f"/v1/event/{answer['event_id']}/")).json()
        if event["status"] == "SUCCEEDED":
            break
        await asyncio.sleep(0.1)
    assert event["results"], event
    secret = await start_conversation(client, planted.project_id, "incognito", planted.user_id)
    await secret.send("I say nothing that is stored")
    for _ in range(3):
        body = {
            **{"messages": f"I met {planted.next_marker()}", "infer": False, "user_id": planted.user_id},
            **{"agent_id": planted.next_marker(), "run_id": planted.next_marker()},
            **{"metadata": {planted.next_marker(): planted.next_marker()}},
        }
        assert (await client.post("/v3/memories/add/", json=body)).status_code == 200
    filters = {"AND": [{"user_id": planted.user_id}, {"metadata": {"city": planted.next_marker()}}]}
    export = {"schema": {"properties": {planted.next_marker(): {"type": "string"}}}, "filters": filters}
    assert (await client.post("/v1/exports/", json=export)).status_code == 201
    found = await client.post("/v3/memories/search/", json={"query": "met", "filters": {"user_id": planted.user_id}})
    assert found.json()["results"]


async def erase(client: httpx.AsyncClient, admin: AdminRows, user_id: str) -> dict[str, dict[str, int]]:
    response = await client.post("/v1/erase", json={"user_id": user_id})
    assert response.status_code == 200, response.text
    async with admin.admin.begin() as connection:
        await connection.exec_driver_sql("set local search_path = jobs")
        await connection.exec_driver_sql(RUN_LAST_LOOK_NOW_SQL)
    path = f"/v1/erase/{response.json()['receipt']['id']}"
    for _ in range(600):
        receipt: dict[str, dict[str, int]] = (await client.get(path)).json()["receipt"]
        if receipt["vacuumed_at"]:
            return receipt
        await asyncio.sleep(0.1)
    raise AssertionError(receipt)


@pytest.mark.long
async def test_no_string_of_an_erased_user_is_in_a_row_in_redis_or_in_a_file(
    tmp_path: Path, redis: RedisServer
) -> None:
    data_dir = tmp_path / "data"
    with ModelServer() as models:
        model = {"LLM_BASE_URL": models.url, "LLM_API_KEY": "key", "LLM_MODEL": "any"}
        with serving(data_dir, DATABASE_URL="", REDIS_URL=redis.url, **model) as keepsake:
            client, project_id = await sign_in(keepsake)
            async with aclosing(client), opened_place(data_dir, redis) as place:
                users = [Planted(project_id), Planted(project_id)]
                for user in users:
                    await user.plant_rows(place.admin)
                    await use(client, models, user)
                erased, spared = users
                await place.run("analyze")
                before = [await place.look_for(user) for user in users]
                for user, marks in zip(users, before, strict=True):
                    assert len(user.markers) > 50
                    assert marks.rows == user.markers
                    assert marks.files == user.markers
                    assert len(marks.redis) >= 2
                receipt = await erase(client, AdminRows(place.admin), erased.user_id)
                assert set(receipt["left"].values()) == {0}
                vacuumed = await place.look_for(erased)
                assert vacuumed.rows | vacuumed.redis == set()
                # A vacuum frees space without overwriting it, and Postgres alone tidies its own tables.
                await asyncio.to_thread(compact, data_dir)
                await place.run("vacuum full pg_catalog.pg_statistic")
                after, left = await place.look_for(erased), await place.look_for(spared)
                assert after.everywhere == set()
                assert left.rows == spared.markers
                assert len(left.files) == len(before[1].files)
                assert left.redis == before[1].redis
