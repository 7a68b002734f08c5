"""Superseded memories through HTTP: hidden, shown on request, restored, deleted, and current as of an earlier day."""

import itertools
import uuid
from collections.abc import Awaitable, Callable
from typing import Any
from uuid import UUID

import httpx
import pytest
import pytest_asyncio

from app.core.resources import Resources
from app.memory.supersession import Replacement, supersede

ALDER, BIRCH, CEDAR = "I visited Alder", "I visited Birch", "I visited Cedar"
DAYS = {ALDER: "2026-01-10", BIRCH: "2026-03-10", CEDAR: "2026-05-10"}
OF_ANA: dict[str, Any] = {"filters": {"user_id": "ana"}}
Chain = Callable[..., Awaitable[list[str]]]


@pytest_asyncio.fixture
async def make_chain(client: httpx.AsyncClient, resources: Resources, project_id: UUID) -> Chain:
    """Adds statements that each replace the one before it."""

    async def make(*statements: str, **body: Any) -> list[str]:
        ids = []
        for each in statements:
            said = {"messages": each, "user_id": "ana", "infer": False, "timestamp": f"{DAYS[each]}T12:00:00Z", **body}
            added = await client.post("/v3/memories/add/", json=said)
            ids.append(added.json()["results"][0]["id"])
        pairs = [Replacement(UUID(old), UUID(new)) for old, new in itertools.pairwise(ids)]
        async with resources.database.transaction(project_id) as tx:
            assert set(await supersede(tx, project_id, pairs)) <= {"superseded"}
        return ids

    return make


async def listed(client: httpx.AsyncClient, **body: Any) -> list[str]:
    answer = await client.post("/v3/memories/", json={**OF_ANA, **body})
    assert answer.status_code == 200, answer.text
    assert answer.json()["count"] == len(answer.json()["results"])
    return sorted(each["memory"] for each in answer.json()["results"])


async def found(client: httpx.AsyncClient, **body: Any) -> list[str]:
    question = {**OF_ANA, "query": "Where have I been?", "threshold": 0, **body}
    answer = await client.post("/v3/memories/search/", json=question)
    assert answer.status_code == 200, answer.text
    return sorted(each["memory"] for each in answer.json()["results"])


async def state(client: httpx.AsyncClient, memory_id: str) -> tuple[str, str | None]:
    memory = (await client.get(f"/v1/memories/{memory_id}/")).json()
    return memory["lifecycle_state"], memory["replaced_by"]


async def test_superseded_memory_is_shown_on_request_only(client: httpx.AsyncClient, make_chain: Chain) -> None:
    old, new = await make_chain(ALDER, BIRCH, metadata={"topic": "travel"})
    for narrow in ({}, {"keywords": "visited"}, {"metadata": {"topic": "travel"}}, {"show_archived": True}):
        assert await listed(client, **narrow) == [BIRCH]
        assert await listed(client, **narrow, show_superseded=True) == [ALDER, BIRCH]
    assert await listed(client, latest_only=False) == [ALDER, BIRCH]
    assert await listed(client, latest_only=True, show_superseded=True) == [BIRCH]
    assert await found(client) == await found(client, latest_only=True) == [BIRCH]
    assert await found(client, show_superseded=True) == await found(client, latest_only=False) == [ALDER, BIRCH]
    assert await found(client, show_superseded=True, metadata={"topic": "travel"}) == [ALDER, BIRCH]
    assert await found(client, metadata={"topic": "travel"}) == [BIRCH]
    of_new = {"AND": [{"user_id": "ana"}, {"replaced_by": [new]}]}
    assert await listed(client, filters=of_new, show_superseded=True) == [ALDER]
    assert await listed(client, filters=of_new) == []
    older_route = await client.get("/v1/memories/?user_id=ana&show_superseded=true")
    assert {each["id"] for each in older_route.json()} == {old, new}
    chat = {"message": "Where have I been?", "user_id": "ana", "privacy_mode": "pause_memories"}
    assert [each["id"] for each in (await client.post("/v1/chat", json=chat)).json()["recalled"]] == [new]


async def test_superseded_memory_is_rendered_with_its_successor_and_dates(
    client: httpx.AsyncClient, make_chain: Chain
) -> None:
    old, new = await make_chain(ALDER, BIRCH)
    first, second = [(await client.get(f"/v1/memories/{each}/")).json() for each in (old, new)]
    began = f"{DAYS[BIRCH]}T12:00:00.000000Z"
    assert [first[name] for name in ("lifecycle_state", "replaced_by", "valid_from", "valid_until")] == [
        *("superseded", new, None, began)
    ]
    assert [second[name] for name in ("lifecycle_state", "replaced_by", "valid_from", "valid_until")] == [
        *("active", None, began, None)
    ]
    rows = (await client.post("/v3/memories/", json={**OF_ANA, "show_superseded": True})).json()["results"]
    assert [{**row, "sources": each["sources"]} for row, each in zip(rows, (second, first), strict=True)] == [
        second,
        first,
    ]
    history = [(await client.get(f"/v1/memories/{each}/history/")).json() for each in (old, new)]
    assert [[each["event"] for each in of_one] for of_one in history] == [["ADD", "SUPERSEDE"], ["ADD", "REPLACE"]]


async def test_restoring_brings_a_superseded_memory_back_also_an_archived_one(
    client: httpx.AsyncClient, make_chain: Chain
) -> None:
    old, _ = await make_chain(ALDER, BIRCH)
    assert (await client.post(f"/v1/memories/{old}/archive")).json()["lifecycle_state"] == "archived"
    assert await listed(client, show_superseded=True) == [BIRCH]
    assert await listed(client, show_superseded=True, show_archived=True) == [ALDER, BIRCH]
    assert await listed(client, show_archived=True) == [BIRCH]
    restored = (await client.post(f"/v1/memories/{old}/restore")).json()
    assert (restored["lifecycle_state"], restored["replaced_by"], restored["valid_until"]) == ("active", None, None)
    assert await listed(client) == await found(client) == [ALDER, BIRCH]
    events = (await client.get("/v1/events/")).json()["results"]
    assert [each["event_type"] for each in events][:2] == ["RESTORE", "ARCHIVE"]


async def test_deleting_a_successor_leaves_deletes_or_restores_what_it_replaced(
    client: httpx.AsyncClient, make_chain: Chain
) -> None:
    async def delete(memory_id: str, **params: bool) -> httpx.Response:
        return await client.delete(f"/v1/memories/{memory_id}/", params=params)

    first, second, third = await make_chain(ALDER, BIRCH, CEDAR)
    both = await delete(third, delete_linked=True, restore_linked=True)
    assert (both.status_code, await listed(client)) == (400, [CEDAR])
    assert "cascade_count" not in (await delete(second)).json()
    assert await state(client, first) == ("superseded", third)
    assert (await delete(third)).status_code == 200
    assert (await state(client, first), await listed(client)) == (("superseded", third), [])

    first, second, third = await make_chain(ALDER, BIRCH, CEDAR)
    assert (await delete(third, restore_linked=True)).json()["restored_count"] == 1
    assert (await state(client, first), await listed(client)) == (("superseded", second), [BIRCH])
    assert (await delete(second, delete_linked=True)).json()["cascade_count"] == 1
    assert (await client.get(f"/v1/memories/{first}/")).status_code == 404

    first, second, third = await make_chain(ALDER, BIRCH, CEDAR)
    assert (await delete(third, delete_linked=True)).json()["cascade_count"] == 2
    assert await listed(client) == []


async def test_deleting_everything_and_erasing_reach_superseded_memories(
    client: httpx.AsyncClient, make_chain: Chain
) -> None:
    first, second, third = await make_chain(ALDER, BIRCH, CEDAR)
    receipt = (await client.post("/v1/erase", json={"memory_id": second})).json()["receipt"]
    assert (receipt["removed"]["memories"], await state(client, first)) == (1, ("superseded", third))
    assert (await client.delete("/v1/memories/?user_id=ana")).status_code == 200
    assert await listed(client, show_superseded=True) == []


@pytest.mark.parametrize(
    ("moment", "expected"),
    [
        pytest.param("2026-01-09", [], id="before"),
        pytest.param("2026-01-10", [ALDER], id="day-of-the-first"),
        pytest.param("2026-03-10T11:59:59Z", [ALDER], id="second-before-the-second"),
        pytest.param("2026-03-10T12:00:00Z", [BIRCH], id="moment-of-the-second"),
        pytest.param("2026-04-01", [BIRCH], id="before-the-third"),
        pytest.param("2026-11-01", [CEDAR], id="after-the-third"),
        pytest.param("2099-01-01", [CEDAR], id="future"),
    ],
)
async def test_list_and_search_as_of_a_moment_return_what_was_valid_then(
    client: httpx.AsyncClient, make_chain: Chain, moment: str, expected: list[str]
) -> None:
    await make_chain(ALDER, BIRCH, CEDAR, metadata={"topic": "travel"})
    assert await found(client, reference_date=moment) == expected
    assert await found(client, as_of=moment) == expected
    assert await found(client, as_of=moment, metadata={"topic": "travel"}) == expected
    assert await listed(client, as_of=moment) == expected
    assert await listed(client, as_of=moment, keywords="visited") == expected
    older_route = await client.get("/v1/memories/", params={"user_id": "ana", "as_of": moment})
    assert [each["memory"] for each in older_route.json()] == expected


async def test_as_of_shows_more_on_request_and_measures_expiry_and_recency_then(
    client: httpx.AsyncClient, make_chain: Chain
) -> None:
    await make_chain(ALDER, BIRCH)
    await make_chain(CEDAR, expiration_date="2026-06-01")
    assert await listed(client, as_of="2026-05-20") == [BIRCH, CEDAR]
    assert await listed(client, as_of="2026-06-02") == await listed(client) == [BIRCH]
    assert await listed(client, as_of="2026-04-01", show_superseded=True) == [ALDER, BIRCH]
    question = {**OF_ANA, "query": "visited", "threshold": 0, "explain": True}
    then = await client.post("/v3/memories/search/", json={**question, "as_of": "2026-03-11"})
    now = await client.post("/v3/memories/search/", json=question)
    (of_then,), (of_now,) = then.json()["results"], now.json()["results"]
    assert of_then["score_breakdown"]["recency"] > of_now["score_breakdown"]["recency"]


async def test_as_of_that_is_no_time_is_refused(client: httpx.AsyncClient) -> None:
    for path, body in (("/v3/memories/", {}), ("/v3/memories/search/", {"query": "visited"})):
        refused = await client.post(path, json={**OF_ANA, **body, "as_of": "last summer"})
        assert refused.status_code == 400
        assert "as_of" in refused.text


async def test_memory_of_another_user_with_the_id_of_a_deleted_successor_takes_nothing_along(
    client: httpx.AsyncClient, make_chain: Chain, resources: Resources, project_id: UUID
) -> None:
    """An import can bring the id back for another user."""
    old, new = await make_chain(ALDER, BIRCH)
    await client.delete(f"/v1/memories/{new}/")
    line = f'{{"id": "{new}", "memory": "I own a boat", "user_id": "bob"}}\n'
    imported = await client.post("/v1/import", content=line, headers={"Content-Type": "application/x-ndjson"})
    assert imported.json()["added"] == {"memory": 1}
    assert (await client.delete(f"/v1/memories/{new}/?delete_linked=true")).json()["cascade_count"] == 0
    assert await state(client, old) == ("superseded", new)
    async with resources.database.transaction(project_id) as tx:
        assert list(await supersede(tx, project_id, [Replacement(UUID(old), uuid.uuid4())])) == ["not_found"]
