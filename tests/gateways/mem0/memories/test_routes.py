"""Requests that mem0's clients never send, and what this API guarantees beyond mem0's."""

import asyncio
import json
import uuid
from typing import Any

import httpx
import pytest
from sqlalchemy import text

from app.core.database.database import Database
from app.core.resources import Resources
from app.worker import run_jobs
from tests.conftest import MakeKey, SignUp
from tests.patience import PATIENCE_SECONDS

ALICE = {"user_id": "alice"}
VERBATIM = {"messages": "I like tea", "infer": False, **ALICE}


async def store(client: httpx.AsyncClient, **body: Any) -> str:
    response = await client.post("/v3/memories/add/", json={**VERBATIM, **body})
    assert response.status_code == 200, response.text
    memory_id: str = response.json()["results"][0]["id"]
    return memory_id


async def list_texts(client: httpx.AsyncClient, **filters: Any) -> list[str]:
    response = await client.post("/v3/memories/", json={"filters": filters or ALICE})
    assert response.status_code == 200, response.text
    return [row["memory"] for row in response.json()["results"]]


INVALID_FIELDS = [
    {"messages": "a\0b"},
    {"messages": "\ud800"},
    {"messages": []},
    {"messages": None},
    {"messages": [{"role": "pirate", "content": "x"}]},
    {"user_id": ""},
    {"user_id": "*"},
    {"user_id": "a\0"},
    {"user_id": "\udfff"},
    {"user_id": "x" * 501},
    {"agent_id": ["a"]},
    {"metadata": {"a\0": 1}},
    {"metadata": {"a": "\udc00"}},
    {"metadata": []},
    {"timestamp": "yesterday"},
    {"timestamp": 10**30},
    {"timestamp": float("nan")},
    {"expiration_date": "2026-02-30"},
    {"profile_id": "*"},
    {"profile_id": "nonsense"},
    {"custom_categories": ["bare"]},
    {"filters": "nonsense"},
    {"filters": {"user_id": {"in": ["alice", "bob"]}}},
]


@pytest.mark.parametrize("invalid", INVALID_FIELDS, ids=lambda invalid: ascii(invalid)[:40])
async def test_add_refuses_invalid_bodies_with_one_sentence(client: httpx.AsyncClient, invalid: dict[str, Any]) -> None:
    response = await client.post(
        "/v3/memories/add/",
        content=json.dumps({**VERBATIM, **invalid}).encode(),
        headers={"Content-Type": "application/json"},
    )
    assert response.status_code == 400, response.text
    assert isinstance(response.json()["detail"], str)
    assert await list_texts(client) == []


@pytest.mark.parametrize(
    "path",
    [
        "/v1/memories/%00/",
        "/v1/event/nonsense/",
        "/v2/entities/user/%00/",
        "/v2/entities/pirate/x/",
        "/v1/events/?status=%00",
        "/v1/events/?start_date=soon",
        "/v1/events/?start_date=9999-12-31T23:59:59-14:00",
        "/v1/entities/?page=0",
        "/v1/memories/?user_id=a&categories=%00",
        "/v1/memories/?user_id=%00",
        "/v1/memories/?user_id=a&start_date=soon",
        "/v1/memories/?user_id=a&keywords=" + "x" * 1001,
        "/v1/memories/?user_id=a&categories=" + "x," * 201,
        "/v1/memories/?user_id=a&fields=" + "x," * 101,
        "/v1/memories/?user_id=a&metadata={%22a%22:NaN}",
    ],
)
async def test_invalid_paths_and_queries_are_bad_requests(client: httpx.AsyncClient, path: str) -> None:
    response = await client.get(path)
    assert response.status_code == 400, response.text


async def test_delete_without_an_id_deletes_nothing(client: httpx.AsyncClient) -> None:
    await store(client)
    for path in (
        "/v1/memories//",
        "/v1/memories/%20/",
        "/v1/memories/?user_id=",
        "/v1/memories/?user_id=alice&user_id=b",
    ):
        assert (await client.delete(path)).status_code == 400, path
    assert await list_texts(client) == ["I like tea"]


DELETE_REQUESTS = {
    "one": lambda client, each: client.delete(f"/v1/memories/{each}/"),
    "batch": lambda client, each: client.request("DELETE", "/v1/batch/", json={"memories": [{"memory_id": each}]}),
    "scope": lambda client, each: client.delete("/v1/memories/?user_id=alice&run_id=first"),
}


@pytest.mark.parametrize("way", DELETE_REQUESTS)
async def test_delete_removes_the_words_from_the_context_of_other_memories(
    client: httpx.AsyncClient, database: Database, project_id: uuid.UUID, way: str
) -> None:
    """A message is indexed with the message before it, so the deleted words would still find it."""
    secret = await store(client, messages="The safe opens with 4711", run_id="first")
    said = [{"role": "user", "content": each} for each in ("The safe opens with 4711", "And its key is red")]
    [_, after] = (await client.post("/v3/memories/add/", json={**VERBATIM, "messages": said})).json()["results"]
    assert (await DELETE_REQUESTS[way](client, secret)).status_code == 200
    async with database.transaction(project_id) as tx:
        left = await tx.execute(text("select content, context from memories order by content"))
        rows = {row.content: row.context for row in left}
    assert rows["And its key is red"] is None
    listed = await client.post("/v3/memories/", json={"filters": ALICE})
    assert after["id"] in {row["id"] for row in listed.json()["results"]}, "it is still there"


async def test_delete_all_with_four_stars_deletes_everything_in_the_project(
    client: httpx.AsyncClient, sign_up: SignUp
) -> None:
    """Three stars are ordinary conditions: a memory must have all three ids."""
    other = (await sign_up()).client
    await store(other, user_id="customer")
    home, work = [await client.post("/v1/profiles", json={**ALICE, "name": name}) for name in ("home", "work")]
    assert home.json()["is_default"]
    profile = work.json()["id"]
    await store(client, user_id=None, agent_id="dj")
    await store(client, profile_id=profile)
    await client.delete("/v1/memories/?user_id=*&agent_id=*&app_id=*")
    anybody = [{"user_id": "*"}, {"agent_id": "*"}]
    assert await list_texts(client, OR=anybody) == ["I like tea"], "the agent's"

    await client.delete("/v1/memories/?user_id=*&agent_id=*&app_id=*&run_id=*")
    assert await list_texts(client, OR=anybody) == []
    listed = await client.post("/v3/memories/", json={"filters": {"user_id": "alice"}, "profile_id": profile})
    assert listed.json()["results"] == []
    assert await list_texts(other, user_id="customer") == ["I like tea"]


async def test_event_of_a_deleted_memory_contains_no_words(client: httpx.AsyncClient) -> None:
    added = (await client.post("/v3/memories/add/", json=VERBATIM)).json()
    event = f"/v1/event/{added['event_id']}/"
    assert (await client.get(event)).json()["results"][0]["data"]["memory"] == "I like tea"
    memory_id = added["results"][0]["id"]
    await client.delete(f"/v1/memories/{memory_id}/")
    assert (await client.get(event)).json()["results"] == [{"id": memory_id, "event": "ADD", "data": {"memory": None}}]
    assert "tea" not in (await client.get("/v1/events/")).text
    assert "tea" not in (await client.get("/v1/memories/events/")).text


async def test_events_are_listed_newest_first_and_can_be_filtered(client: httpx.AsyncClient) -> None:
    memory_id = await store(client)
    await client.put(f"/v1/memories/{memory_id}/", json={"text": "I like coffee"})
    await client.delete(f"/v1/memories/{memory_id}/")
    page = (await client.get("/v1/events/")).json()
    assert [row["event_type"] for row in page["results"]] == ["DELETE", "UPDATE", "ADD"]
    assert {row["status"] for row in page["results"]} == {"SUCCEEDED"}
    assert (await client.get("/v1/events/?start_date=0001-01-01&end_date=9999-12-31")).json()["count"] == page["count"]
    chosen = (await client.get("/v1/events/?event_type=update&page_size=1")).json()
    assert (chosen["count"], chosen["next"]) == (1, None)
    assert (await client.get(f"/v1/event/{uuid.uuid4()}/")).status_code == 404


async def test_delete_all_cancels_queued_extractions(client: httpx.AsyncClient, resources: Resources) -> None:
    asked = {"messages": "I am allergic to peanuts.", **ALICE}
    queued = (await client.post("/v3/memories/add/", json=asked)).json()["event_id"]
    kept = (await client.post("/v3/memories/add/", json={**asked, "user_id": "bob"})).json()["event_id"]
    await client.delete("/v1/memories/?user_id=alice")
    async with run_jobs(resources, concurrency=4), asyncio.timeout(PATIENCE_SECONDS):
        while (await client.get(f"/v1/event/{kept}/")).json()["status"] != "SUCCEEDED":  # noqa: ASYNC110 - other tests' jobs may come first
            await asyncio.sleep(0.05)
    assert (await client.get(f"/v1/event/{queued}/")).status_code == 404
    assert await list_texts(client) == []
    assert await list_texts(client, user_id="bob") == ["I am allergic to peanuts."]


async def test_memories_of_an_agent_alone_belong_to_no_user(client: httpx.AsyncClient) -> None:
    asked = {"messages": "Answers in rhyme", "infer": False, "agent_id": "poet"}
    assert (await client.post("/v3/memories/add/", json=asked)).status_code == 200
    await store(client, agent_id="poet")
    assert sorted(await list_texts(client, agent_id="poet")) == ["Answers in rhyme", "I like tea"]
    assert await list_texts(client, AND=[{"agent_id": "poet"}, ALICE]) == ["I like tea"]
    page = (
        await client.post("/v3/memories/", json={"filters": {"AND": [{"agent_id": "poet"}, {"user_id": None}]}})
    ).json()
    assert [row["profile_id"] for row in page["results"]] == [None]


async def test_agent_filter_searches_the_default_profile_only(client: httpx.AsyncClient) -> None:
    await store(client, agent_id="poet")
    work = (await client.post("/v1/profiles", json={"name": "Work", **ALICE})).json()["id"]
    await store(client, agent_id="poet", messages="At work", profile_id=work)
    assert await list_texts(client, agent_id="poet") == ["I like tea"]
    question = {"query": "work", "filters": {"agent_id": "poet"}, "threshold": 0}
    for choice, expected in ((None, {"I like tea"}), ("*", {"I like tea", "At work"}), (work, {"At work"})):
        asked = question if choice is None else {**question, "profile_id": choice}
        found = (await client.post("/v3/memories/search/", json=asked)).json()["results"]
        assert {row["memory"] for row in found} == expected
    stranger = {"filters": {"user_id": "bob"}, "profile_id": work}
    assert (await client.post("/v3/memories/", json=stranger)).json()["count"] == 0


async def test_search_reports_whether_anything_fits(client: httpx.AsyncClient) -> None:
    """By default only what fits is returned; a threshold of the client is the minimum score, and 0 accepts all."""
    await store(client, messages="I like green tea")
    unknown = {"query": "What is the name of Peter's wife?", "filters": ALICE}
    answers = []
    for asked in ({"query": "Which tea do I like?", "filters": ALICE}, unknown, {**unknown, "threshold": 0}):
        found = (await client.post("/v3/memories/search/", json=asked)).json()
        answers.append((found["answerable"], [row["memory"] for row in found["results"]]))
    assert answers == [(True, ["I like green tea"]), (False, []), (False, ["I like green tea"])]


async def test_page_in_the_query_takes_precedence_over_the_body(client: httpx.AsyncClient) -> None:
    for number in range(3):
        await store(client, messages=f"Fact {number}")
    asked = {"filters": ALICE, "page": 1, "page_size": 3}
    page = (await client.post("/v3/memories/?page=2&page_size=2", json=asked)).json()
    assert [row["memory"] for row in page["results"]] == ["Fact 0"]
    assert len((await client.post("/v3/memories/", json=asked)).json()["results"]) == 3
    beyond = (await client.post("/v3/memories/?page=9", json={"filters": ALICE})).json()
    assert (beyond["count"], beyond["results"]) == (3, [])


async def test_entity_description_replaces_an_earlier_one(client: httpx.AsyncClient) -> None:
    made = await client.post("/v1/agents/", json={"agent_id": "poet", "name": "The poet", "metadata": {"a": 1}})
    assert made.status_code == 201
    assert made.json()["agent_id"] == "poet"
    await client.post("/v1/agents/", json={"agent_id": "poet", "name": "The bard", "metadata": {"b": 2}})
    shown = (await client.get("/v2/entities/agent/poet/")).json()
    assert (shown["name"], shown["display_name"], shown["metadata"]) == ("poet", "The bard", {"b": 2})
    assert shown["total_memories"] == 0
    assert (await client.get("/v1/entities/filters/")).json()["agent_id"] == ["poet"]
    assert (await client.delete(f"/v1/entities/agent/{shown['id']}/")).status_code == 200
    assert (await client.get("/v2/entities/agent/poet/")).status_code == 404


async def test_stats_count_the_project(client: httpx.AsyncClient, make_key: MakeKey) -> None:
    await store(client, agent_id="poet")
    await store(client, user_id="bob", messages="I hike")
    stats = (await client.get("/v1/stats/")).json()
    assert (stats["total_memories"], stats["total_users"], stats["total_agents"], stats["total_add_events"]) == (
        2,
        2,
        1,
        2,
    )


async def test_account_reads_its_own_memories_by_default(sign_up: SignUp) -> None:
    ana = await sign_up()
    mine = {"messages": "I like tea", "infer": False}
    await ana.client.post("/v3/memories/add/", json=mine)
    await ana.client.post("/v3/memories/add/", json={**mine, "user_id": "customer", "messages": "Hers"})
    listed = (await ana.client.post("/v3/memories/", json={})).json()["results"]
    assert [row["memory"] for row in listed] == ["I like tea"]
    # Deletion has no default, even for an account.
    assert (await ana.client.delete("/v1/memories/")).status_code == 400
    everyone = (await ana.client.post("/v3/memories/", json={"filters": {"user_id": "*"}})).json()
    assert everyone["count"] == 2
