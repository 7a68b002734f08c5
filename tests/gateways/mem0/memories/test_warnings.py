"""What a request asks for acts, or is named in `warnings`."""

from typing import Any

import httpx
import pytest

from app.core.resources import Resources
from app.worker import run_jobs

MESSAGE = "I earn 3100 euros. I live in Lisbon"
SCHEMA = {"structured_data_schema": {"type": "object"}}
IMAGE = {"type": "image_url", "image_url": {"url": "https://example.org/a.png"}}
WITH_IMAGE = {"messages": [{"role": "user", "content": [{"type": "text", "text": "I like tea"}, IMAGE]}]}


async def add(client: httpx.AsyncClient, **body: Any) -> dict[str, Any]:
    response = await client.post("/v3/memories/add/", json={"messages": MESSAGE, "user_id": "ana", **body})
    assert response.status_code == 200, response.text
    answer: dict[str, Any] = response.json()
    return answer


@pytest.mark.parametrize(
    ("body", "warned"),
    [
        pytest.param({}, [], id="nothing"),
        pytest.param({"custom_instructions": "Only food"}, ["custom_instructions", "no language model"], id="wishes"),
        pytest.param({"includes": "food"}, ["includes"], id="includes"),
        pytest.param({"excludes": "salary, phone number"}, ["sentences that contain its words"], id="words"),
        pytest.param({"excludes": "Everything that a doctor might have said"}, ["separated by commas"], id="sentence"),
        pytest.param({"excludes": "salary", "infer": False}, ["excludes", "verbatim"], id="verbatim"),
        pytest.param(SCHEMA, ["structured_data_schema"], id="schema"),
        pytest.param(WITH_IMAGE, ["image_url"], id="image"),
        pytest.param({"enable_graph": False}, [], id="switched off"),
    ],
)
async def test_what_has_no_effect_is_named(client: httpx.AsyncClient, body: dict[str, Any], warned: list[str]) -> None:
    warnings = (await add(client, **body)).get("warnings", [])
    assert len(warnings) == bool(warned)
    assert [word for word in warned if word not in warnings[0]] == []


async def test_excluded_words_are_left_out_and_the_event_says_so(
    client: httpx.AsyncClient, resources: Resources
) -> None:
    async with run_jobs(resources, concurrency=1, poll_seconds=0.2):
        added = await add(client, excludes="salary, phone number", custom_instructions="Only food", async_mode=False)
    assert added["status"] == "SUCCEEDED"
    assert [result["data"]["memory"] for result in added["results"]] == ["I live in Lisbon"]
    note = (await client.get(f"/v1/event/{added['event_id']}/")).json()["note"]
    assert "Instructions on what to remember had no effect" in note
    assert "Sentences with the words of `excludes` were left out" in note


async def test_unknown_time_zone_is_refused(client: httpx.AsyncClient) -> None:
    body = {"messages": "I like tea", "user_id": "ana", "observation_date": "2026-05-01", "timezone": "Berlin"}
    response = await client.post("/v3/memories/add/", json=body)
    assert (response.status_code, "Europe/Berlin" in response.json()["detail"]) == (400, True)


async def test_observation_date_is_read_in_its_time_zone(client: httpx.AsyncClient) -> None:
    added = await add(client, observation_date="2026-05-01", timezone="Asia/Tokyo", infer=False)
    memory = (await client.get(f"/v1/memories/{added['results'][0]['id']}/")).json()
    assert memory["created_at"].startswith("2026-04-30T15:00:00")


@pytest.mark.parametrize("date", ["9999-12-31T23:59:59-14:00", "0001-01-01T00:00:00+14:00"])
async def test_observation_date_in_no_year_that_can_be_read_is_refused(client: httpx.AsyncClient, date: str) -> None:
    """Postgres keeps such a time, and then neither the memory nor an export of its project could be read."""
    body = {"messages": "I like tea", "user_id": "ana", "infer": False}
    response = await client.post("/v1/memories/", json={**body, "observation_date": date})
    assert (response.status_code, "takes a date" in response.json()["detail"]) == (400, True)


async def test_observation_date_can_have_any_offset(client: httpx.AsyncClient) -> None:
    added = await add(client, observation_date="2026-05-01T09:00:00+23:59", infer=False)
    memory = (await client.get(f"/v1/memories/{added['results'][0]['id']}/")).json()
    assert memory["created_at"].startswith("2026-04-30T09:01:00")


async def test_search_can_be_restricted_to_days(client: httpx.AsyncClient) -> None:
    await add(client, messages="I drank tea", timestamp="2026-03-01", infer=False)
    await add(client, messages="I drank coffee", timestamp="2026-03-05", infer=False)
    body = {"query": "What did I drink?", "filters": {"user_id": "ana"}, "threshold": 0}
    found = (await client.post("/v3/memories/search/", json={**body, "start_date": "2026-03-04"})).json()
    assert [row["memory"] for row in found["results"]] == ["I drank coffee"]


@pytest.mark.parametrize(
    ("method", "path", "body"),
    [
        pytest.param("POST", "/v3/memories/add/", {"messages": "I like tea", "user_id": ""}, id="add"),
        pytest.param("POST", "/v3/memories/add/", {"messages": "tea", "filters": {"user_id": ""}}, id="add by filter"),
        pytest.param("POST", "/v3/memories/", {"filters": {"OR": [{"user_id": ""}, {"user_id": "a"}]}}, id="list"),
        pytest.param("POST", "/v3/memories/search/", {"query": "tea", "filters": {"agent_id": ""}}, id="search"),
        pytest.param("POST", "/v2/memories/search/", {"query": "tea", "user_id": ""}, id="search 2"),
        pytest.param("GET", "/v1/memories/?user_id=a&agent_id=", None, id="list 1"),
        pytest.param("DELETE", "/v1/memories/?user_id=a&agent_id=", None, id="delete"),
    ],
)
async def test_empty_id_is_refused_everywhere(
    client: httpx.AsyncClient, method: str, path: str, body: dict[str, Any] | None
) -> None:
    response = await client.request(method, path, json=body)
    assert response.status_code == 400, response.text


async def test_searches_are_counted(client: httpx.AsyncClient) -> None:
    body = {"query": "tea", "filters": {"user_id": "ana"}}
    for _ in range(3):
        await client.post("/v3/memories/search/", json=body)
    assert (await client.get("/v1/stats/")).json()["total_retrieval_events"] == 3
