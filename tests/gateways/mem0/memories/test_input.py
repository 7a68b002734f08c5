"""Results of a search carry the messages that a memory was made from."""

from typing import Any

import httpx

from app.core.resources import Resources
from app.worker import run_jobs

ANA = {"user_id": "ana"}
ASKED = {"role": "user", "content": "I live in Lisbon"}
ANSWERED = {"role": "assistant", "content": "A fine city"}
WITH_INPUT = ["memory", "kind", "input"]


async def search(client: httpx.AsyncClient, **body: Any) -> list[dict[str, Any]]:
    request = {"query": "Where does Ana live?", "filters": ANA, "threshold": 0, **body}
    response = await client.post("/v3/memories/search/", json=request)
    assert response.status_code == 200, response.text
    results: list[dict[str, Any]] = response.json()["results"]
    return results


async def extract(client: httpx.AsyncClient, resources: Resources) -> None:
    async with run_jobs(resources, concurrency=1, poll_seconds=0.2):
        body = {"messages": [ASKED, ANSWERED], "async_mode": False, **ANA}
        assert (await client.post("/v3/memories/add/", json=body)).json()["status"] == "SUCCEEDED"


async def test_episode_is_its_own_input(client: httpx.AsyncClient) -> None:
    await client.post("/v3/memories/add/", json={"messages": [ASKED, ANSWERED], "infer": False, **ANA})
    found = {row["memory"]: row["input"] for row in await search(client)}
    assert found == {"I live in Lisbon": [ASKED], "A fine city": [ANSWERED]}
    assert {tuple(row) for row in await search(client, fields=["memory"])} == {("memory",)}


async def test_fact_has_its_conversation_if_the_client_asks_for_it(
    client: httpx.AsyncClient, resources: Resources
) -> None:
    await extract(client, resources)
    assert await search(client, fields=WITH_INPUT) == [
        {"memory": "I live in Lisbon", "kind": "fact", "input": [ASKED, ANSWERED]}
    ]
    assert ["input" in row for row in await search(client)] == [False]


async def test_input_of_a_fact_ends_with_a_deleted_message(client: httpx.AsyncClient, resources: Resources) -> None:
    """The episode is deleted from the same run, so the conversation of the fact is cleared."""
    run = {**ANA, "run_id": "r1"}
    added = await client.post("/v3/memories/add/", json={"messages": [ASKED, ANSWERED], "infer": False, **run})
    async with run_jobs(resources, concurrency=1, poll_seconds=0.2):
        body = {"messages": [ANSWERED, {"role": "user", "content": "My cat is called Zoe"}], "async_mode": False, **run}
        await client.post("/v3/memories/add/", json=body)
    query = {"query": "What is the cat called?", "fields": ["id", "memory", "kind", "input"]}
    facts = [row for row in await search(client, **query) if row["kind"] == "fact"]
    assert [row["input"][0] for row in facts] == [ANSWERED]
    await client.delete(f"/v1/memories/{added.json()['results'][1]['id']}/")
    facts = [row for row in await search(client, **query) if row["kind"] == "fact"]
    assert [(row["memory"], row["input"]) for row in facts] == [("My cat is called Zoe", None)]
