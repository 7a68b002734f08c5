"""Versions 1 and 2 of mem0's memory calls: the formats that older clients send and read."""

import uuid

import httpx
import pytest

ALICE = {"user_id": "alice"}


async def store(client: httpx.AsyncClient, *texts: str, **more: object) -> None:
    for text in texts:
        body = {"messages": [{"role": "user", "content": text}], "infer": False, **ALICE, **more}
        assert (await client.post("/v1/memories/", json=body)).status_code == 200


async def test_add_v1_returns_a_list_or_results_and_relations(client: httpx.AsyncClient) -> None:
    body = {"messages": "I like tea", "user_id": "alice", "async_mode": True}
    (queued,) = (await client.post("/v1/memories/", json=body)).json()
    assert queued.keys() == {"message", "status", "event_id"}
    assert queued["status"] == "PENDING"
    modern = {**body, "infer": False, "output_format": "v1.1", "version": "v2"}
    added = (await client.post("/v1/memories/", json=modern)).json()
    assert added["relations"] == []
    assert [each["data"]["memory"] for each in added["results"]] == ["I like tea"]


async def test_list_is_an_array_unless_a_page_is_requested(client: httpx.AsyncClient) -> None:
    await store(client, "One", "Two", "Three")
    bare = (await client.get("/v1/memories/", params=ALICE)).json()
    assert [row["memory"] for row in bare] == ["Three", "Two", "One"]
    assert (await client.post("/v2/memories/", json={"filters": ALICE})).json() == bare
    paged = {"page": "2", "page_size": "2"}
    for page in (
        (await client.get("/v1/memories/", params={**ALICE, **paged})).json(),
        (await client.post("/v2/memories/", json={"filters": ALICE}, params=paged)).json(),
    ):
        assert (page["count"], page["next"]) == (3, None)
        assert [row["memory"] for row in page["results"]] == ["One"]
        assert "page=1" in page["previous"]


@pytest.mark.parametrize("page", ["0", "-1", "x", "4", "99999999999999999999"])
async def test_missing_page_is_not_found(client: httpx.AsyncClient, page: str) -> None:
    await store(client, "One", "Two", "Three")
    refused = await client.get("/v1/memories/", params={**ALICE, "page": page, "page_size": "1"})
    assert (refused.status_code, refused.json()["detail"]) == (404, "Invalid page.")


async def test_list_v1_applies_every_condition_of_the_query_string(client: httpx.AsyncClient) -> None:
    await store(client, "Tea at work", run_id="r1", metadata={"topic": "drink"})
    await store(client, "Tea at home", metadata={"topic": "drink"})
    for more in ({"run_id": "r1"}, {"keywords": "WORK"}, {"filters": '{"run_id": "r1"}'}):
        conditions = {**ALICE, "metadata": "{'topic': 'drink'}", **more}
        listed = (await client.get("/v1/memories/", params=conditions)).json()
        assert [row["memory"] for row in listed] == ["Tea at work"]
    cut = (await client.get("/v1/memories/", params={**ALICE, "run_id": "r1", "fields": "memory, run_id"})).json()
    assert cut == [{"memory": "Tea at work", "run_id": "r1"}]
    assert (await client.get("/v1/memories/")).status_code == 400


async def test_older_searches_return_a_list_or_results_and_relations(client: httpx.AsyncClient) -> None:
    await store(client, "I am allergic to peanuts")
    await store(client, "His", user_id="bob")
    question = {"query": "peanuts", "threshold": 0}
    for path, whose in (("/v1/memories/search/", ALICE), ("/v2/memories/search/", {"filters": ALICE})):
        found = (await client.post(path, json={**question, **whose})).json()
        assert [row["memory"] for row in found] == ["I am allergic to peanuts"]
        modern = (await client.post(path, json={**question, **whose, "output_format": "v1.1"})).json()
        assert modern["relations"] == []
        assert [row["id"] for row in modern["results"]] == [row["id"] for row in found]
    assert (await client.post("/v3/memories/search/", json={**question, **ALICE})).status_code == 400


async def test_entity_memories_are_listed_by_type_and_name(client: httpx.AsyncClient) -> None:
    await store(client, "One", user_id="team/alice", agent_id="a1")
    for kind, name in (("user", "team%2Falice"), ("agent", "a1"), ("users", "team/alice")):
        page = (await client.get(f"/v1/memories/{kind}/{name}/")).json()
        assert [row["memory"] for row in page["results"]] == ["One"]
    assert (await client.get("/v1/memories/nonsense/x/")).status_code == 400


async def test_older_routes_refuse_ids_of_another_project(client: httpx.AsyncClient) -> None:
    """Clients of version 1.0 send the ids that the ping returned."""
    ping = (await client.get("/v1/ping/")).json()
    own = {"org_id": ping["org_id"], "project_id": ping["project_id"]}
    body = {"messages": "I like tea", "infer": False, **ALICE}
    assert (await client.post("/v1/memories/", json={**body, **own})).status_code == 200
    assert (await client.get("/v1/memories/", params={**ALICE, **own})).status_code == 200
    for wrong in ("org_id", "project_id"):
        strange = {**own, wrong: str(uuid.uuid4())}
        assert (await client.post("/v1/memories/", json={**body, **strange})).status_code == 404
        assert (await client.get("/v1/memories/", params={**ALICE, **strange})).status_code == 404
        assert (await client.delete("/v1/memories/", params={**ALICE, **strange})).status_code == 404


async def test_version_2_takes_ids_at_the_top_level_too(client: httpx.AsyncClient) -> None:
    await store(client, "Tea at work", run_id="r1")
    await store(client, "Tea at home")
    on_top = {**ALICE, "run_id": "r1"}
    listed = (await client.post("/v2/memories/", json=on_top)).json()
    found = (await client.post("/v2/memories/search/", json={"query": "tea", **on_top})).json()
    assert [row["memory"] for row in listed] == [row["memory"] for row in found] == ["Tea at work"]
    both = (await client.post("/v2/memories/", json={"user_id": "bob", "filters": ALICE})).json()
    assert both == []
