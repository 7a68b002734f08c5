"""Versions 1 and 2 of mem0's memory calls: the shapes that older clients in the wild still send and read."""

import uuid

import httpx
import pytest

HERS = {"user_id": "alice"}


async def fill(client: httpx.AsyncClient, *texts: str, **more: object) -> None:
    for text in texts:
        body = {"messages": [{"role": "user", "content": text}], "infer": False, **HERS, **more}
        assert (await client.post("/v1/memories/", json=body)).status_code == 200


async def test_version_1_adds_with_a_bare_list_or_results_and_relations(client: httpx.AsyncClient) -> None:
    body = {"messages": "I like tea", "user_id": "alice", "async_mode": True}
    (queued,) = (await client.post("/v1/memories/", json=body)).json()
    assert queued.keys() == {"message", "status", "event_id"}
    assert queued["status"] == "PENDING"
    modern = {**body, "infer": False, "output_format": "v1.1", "version": "v2"}
    added = (await client.post("/v1/memories/", json=modern)).json()
    assert added["relations"] == []
    assert [each["data"]["memory"] for each in added["results"]] == ["I like tea"]


async def test_a_list_is_an_array_unless_a_page_is_asked_for(client: httpx.AsyncClient) -> None:
    await fill(client, "One", "Two", "Three")
    bare = (await client.get("/v1/memories/", params=HERS)).json()
    assert [row["memory"] for row in bare] == ["Three", "Two", "One"]
    assert (await client.post("/v2/memories/", json={"filters": HERS})).json() == bare
    paged = {"page": "2", "page_size": "2"}
    for page in (
        (await client.get("/v1/memories/", params={**HERS, **paged})).json(),
        (await client.post("/v2/memories/", json={"filters": HERS}, params=paged)).json(),
    ):
        assert (page["count"], page["next"]) == (3, None)
        assert [row["memory"] for row in page["results"]] == ["One"]
        assert "page=1" in page["previous"]


@pytest.mark.parametrize("page", ["0", "-1", "x", "4", "99999999999999999999"])
async def test_a_page_that_is_not_there_is_404(client: httpx.AsyncClient, page: str) -> None:
    await fill(client, "One", "Two", "Three")
    refused = await client.get("/v1/memories/", params={**HERS, "page": page, "page_size": "1"})
    assert (refused.status_code, refused.json()["detail"]) == (404, "Invalid page.")


async def test_every_condition_of_a_query_string_holds(client: httpx.AsyncClient) -> None:
    await fill(client, "Tea at work", run_id="r1", metadata={"topic": "drink"})
    await fill(client, "Tea at home", metadata={"topic": "drink"})
    for more in ({"run_id": "r1"}, {"keywords": "WORK"}, {"filters": '{"run_id": "r1"}'}):
        conditions = {**HERS, "metadata": "{'topic': 'drink'}", **more}
        listed = (await client.get("/v1/memories/", params=conditions)).json()
        assert [row["memory"] for row in listed] == ["Tea at work"]
    cut = (await client.get("/v1/memories/", params={**HERS, "run_id": "r1", "fields": "memory, run_id"})).json()
    assert cut == [{"memory": "Tea at work", "run_id": "r1"}]
    assert (await client.get("/v1/memories/")).status_code == 400


async def test_searches_answer_with_a_bare_list_or_results_and_relations(client: httpx.AsyncClient) -> None:
    await fill(client, "I am allergic to peanuts")
    await fill(client, "His", user_id="bob")
    question = {"query": "peanuts", "threshold": 0}
    for path, whose in (("/v1/memories/search/", HERS), ("/v2/memories/search/", {"filters": HERS})):
        found = (await client.post(path, json={**question, **whose})).json()
        assert [row["memory"] for row in found] == ["I am allergic to peanuts"]
        modern = (await client.post(path, json={**question, **whose, "output_format": "v1.1"})).json()
        assert modern["relations"] == []
        assert [row["id"] for row in modern["results"]] == [row["id"] for row in found]
    assert (await client.post("/v2/memories/search/", json={**question, **HERS})).status_code == 400


async def test_the_memories_of_an_entity_a_hundred_on_a_page(client: httpx.AsyncClient) -> None:
    await fill(client, "One", user_id="team/alice", agent_id="a1")
    for kind, name in (("user", "team%2Falice"), ("agent", "a1"), ("users", "team/alice")):
        page = (await client.get(f"/v1/memories/{kind}/{name}/")).json()
        assert [row["memory"] for row in page["results"]] == ["One"]
    assert (await client.get("/v1/memories/nonsense/x/")).status_code == 400


async def test_another_project_cannot_be_named(client: httpx.AsyncClient) -> None:
    """Clients of 1.0 send the ids that the ping told them; anybody else's are refused."""
    ping = (await client.get("/v1/ping/")).json()
    own = {"org_id": ping["org_id"], "project_id": ping["project_id"]}
    body = {"messages": "I like tea", "infer": False, **HERS}
    assert (await client.post("/v1/memories/", json={**body, **own})).status_code == 200
    assert (await client.get("/v1/memories/", params={**HERS, **own})).status_code == 200
    for wrong in ("org_id", "project_id"):
        strange = {**own, wrong: str(uuid.uuid4())}
        assert (await client.post("/v1/memories/", json={**body, **strange})).status_code == 404
        assert (await client.get("/v1/memories/", params={**HERS, **strange})).status_code == 404
        assert (await client.delete("/v1/memories/", params={**HERS, **strange})).status_code == 404
