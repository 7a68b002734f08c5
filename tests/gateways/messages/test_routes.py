"""Messages are stored, listed, found and deleted, each with an answer that says what is wrong and what to change."""

import datetime as dt
import json
import re
import uuid
from pathlib import Path
from typing import Any

import httpx
import pytest
from sqlalchemy import text

from app.core.resources import Resources
from tests.conftest import KeyHolder

URL = "/v1/messages"
API_PAGE = (Path(__file__).parents[3] / "docs" / "api.md").read_text()


def message(content: str = "I love Python programming", **values: Any) -> dict[str, Any]:
    return {"conversation_id": "user-123", "role": "user", "content": content, **values}


async def store(client: httpx.AsyncClient, *args: Any, **values: Any) -> dict[str, Any]:
    response = await client.post(URL, json=message(*args, **values))
    assert response.status_code == 201, response.text
    stored: dict[str, Any] = response.json()
    return stored


async def search(client: httpx.AsyncClient, query: str = "Python", **values: Any) -> list[dict[str, Any]]:
    response = await client.get("/v1/memory/search", params={"query": query, **values})
    assert response.status_code == 200, response.text
    results: list[dict[str, Any]] = response.json()["results"]
    return results


async def listed(client: httpx.AsyncClient, **values: Any) -> list[str]:
    response = await client.get(URL, params=values)
    assert response.status_code == 200, response.text
    return [each["content"] for each in response.json()["results"]]


async def test_documented_example_works_with_a_key(anonymous: httpx.AsyncClient, key_holder: KeyHolder) -> None:
    """As docs/api.md prints it."""
    key = {"x-api-key": key_holder.key}
    (posted,) = re.findall(r"curl \$URL(/v1/messages) [^}]*-d '(.*)'\n", API_PAGE)
    (searched,) = re.findall(r'curl "\$URL(/v1/memory/search\S+)"', API_PAGE)
    path, body = posted[0], json.loads(posted[1])
    stored = await anonymous.post(path, json=body, headers=key)
    found = await anonymous.get(searched, headers=key)
    (best,) = found.json()["results"]
    assert stored.status_code == 201
    assert best["id"] == stored.json()["id"]
    assert (best["content"], best["role"], best["conversation_id"]) == (body["content"], "user", "user-123")
    assert best["score"] == pytest.approx(
        0.6 * best["similarity"] + 0.3 * best["importance"] + 0.1 * best["recency"], abs=1e-5
    )
    assert (best["importance"], best["recency"]) == (0.5, 1.0)


async def test_stored_message_is_returned_as_it_was_sent(client: httpx.AsyncClient) -> None:
    said = "2026-01-31T09:30:00+02:00"
    given = {"tenant_id": "t", "user_id": "ann", "metadata": {"a": [1]}, "importance": 0.85}
    stored = await store(client, **given, created_at=said)
    assert {name: stored[name] for name in given} == given
    assert dt.datetime.fromisoformat(stored["created_at"]) == dt.datetime.fromisoformat(said)
    got = (await client.get(f"{URL}/{stored['id']}", params={"tenant_id": "t"})).json()
    assert {**got, "state": "any"} == {**stored, "state": "any"}


async def test_similar_important_and_recent_messages_rank_higher(client: httpx.AsyncClient) -> None:
    long_ago = "2020-01-01T00:00:00Z"
    await store(client, "Python is fun", created_at=long_ago)
    await store(client, "Python is fun")
    await store(client, "Python is fun", importance=1)
    await store(client, "The weather is nice", importance=0.1)
    found = await search(client, "Python")
    assert [(each["content"], each["importance"]) for each in found[:2]] == [
        ("Python is fun", 1.0),
        ("Python is fun", 0.5),
    ]
    assert dt.datetime.fromisoformat(found[2]["created_at"]).year == 2020
    by_age = await search(client, "Python", weights=json.dumps({"recency": 1}), top_k=1)
    assert by_age[0]["score"] == by_age[0]["recency"]


async def test_lists_and_searches_can_be_narrowed(client: httpx.AsyncClient) -> None:
    await store(client, "Python one", user_id="ann", metadata={"topic": "code"}, importance=0.9)
    await store(client, "Python two", role="assistant", conversation_id="other", created_at="2026-03-05T12:00:00Z")
    filters: dict[str, tuple[dict[str, Any], list[str]]] = {
        "conversation": ({"conversation_id": "other"}, ["Python two"]),
        "user": ({"user_id": "ann"}, ["Python one"]),
        "unknown user": ({"user_id": "bob"}, []),
        "role": ({"role": "assistant"}, ["Python two"]),
        "metadata": ({"metadata": json.dumps({"topic": "code"})}, ["Python one"]),
        "importance": ({"importance_min": 0.5}, ["Python one"]),
        "day": ({"start_date": "2026-03-05", "end_date": "2026-03-05"}, ["Python two"]),
        "later": ({"start_date": "2026-03-05T12:00:01Z"}, ["Python one"]),
        "nothing": ({}, ["Python one", "Python two"]),
    }
    for name, (values, expected) in filters.items():
        assert (name, await listed(client, **values)) == (name, expected)
        assert (name, sorted(each["content"] for each in await search(client, **values))) == (name, expected)


async def test_search_as_of_a_day_finds_nothing_later_and_measures_recency_then(client: httpx.AsyncClient) -> None:
    await store(client, "Python one", created_at="2026-03-05T12:00:00Z")
    await store(client, "Python two", created_at="2026-03-06T12:00:00Z")
    (then,) = await search(client, as_of="2026-03-05")
    assert (then["content"], then["recency"]) == ("Python one", pytest.approx(1, abs=0.05))
    assert [each["content"] for each in await search(client, as_of="2026-03-05T11:59:59Z")] == []
    today = {each["content"]: each["recency"] for each in await search(client, as_of="2099-01-01")}
    assert today["Python one"] < today["Python two"] < 0.1
    refused = await client.get("/v1/memory/search", params={"query": "Python", "as_of": "once"})
    assert (refused.status_code, "as_of" in refused.text) == (400, True)


async def test_lists_have_pages(client: httpx.AsyncClient) -> None:
    for number in range(3):
        await store(client, f"Message {number}")
    first = (await client.get(URL, params={"limit": 2})).json()
    second = (await client.get(URL, params={"limit": 2, "cursor": first["next"]})).json()
    assert [each["content"] for each in first["results"] + second["results"]] == ["Message 2", "Message 1", "Message 0"]
    assert second["next"] is None


async def test_deleted_message_is_gone(client: httpx.AsyncClient, resources: Resources, project_id: uuid.UUID) -> None:
    stored = await store(client)
    assert len(await search(client)) == 1
    assert (await client.delete(f"{URL}/{stored['id']}")).status_code == 200
    assert await search(client) == []
    assert (await client.get(f"{URL}/{stored['id']}")).status_code == 404
    assert (await client.delete(f"{URL}/{stored['id']}")).status_code == 404
    await resources.index_queue.wait_until_indexed(project_id, [f"{project_id}:messages:"])
    assert await resources.index.find_existing([uuid.UUID(stored["id"])]) == set()


async def test_message_goes_with_its_user(
    client: httpx.AsyncClient, resources: Resources, project_id: uuid.UUID
) -> None:
    await store(client, user_id="ann")
    await store(client, "Somebody else's")
    async with resources.database.transaction(project_id) as tx:
        await tx.execute(text("delete from profiles where project_id = :p and user_id = 'ann'"), {"p": project_id})
    assert await listed(client) == ["Somebody else's"]


@pytest.mark.parametrize("by_entity", [False, True], ids=["erasure", "entity of mem0"])
async def test_erasure_of_a_user_erases_the_messages_too(client: httpx.AsyncClient, by_entity: bool) -> None:
    mine, other = await store(client, user_id="ann", tenant_id="t"), await store(client, "Bob's", tenant_id="t")
    if by_entity:
        response = await client.delete("/v2/entities/user/ann/")
    else:
        response = await client.post("/v1/erase", json={"user_id": "ann"})
    assert response.is_success, response.text
    assert await listed(client, tenant_id="t") == ["Bob's"]
    assert (await client.get(f"{URL}/{mine['id']}", params={"tenant_id": "t"})).status_code == 404
    assert [each["id"] for each in await search(client, tenant_id="t")] == [other["id"]]


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        ({"content": " \n"}, "`content`: must not be blank"),
        ({"content": "\u0000"}, "`content`: Value should have at least 1 character"),
        ({"content": "x" * 100_001}, "100000 characters"),
        ({"role": "nobody"}, "`role`"),
        ({"conversation_id": ""}, "`conversation_id`"),
        ({"tenant_id": "a\u0000"}, "`tenant_id`: must not contain a NUL"),
        ({"importance": 1.1}, "`importance`"),
        ({"metadata": {"a": "\u0000"}}, "`metadata`: must not contain a NUL"),
        ({"created_at": "2026-01-31T09:30:00"}, "`created_at`: Input should have timezone info"),
        ({"created_at": "2999-01-31T09:30:00Z"}, "`created_at`: must not be in the future"),
        ({"created_at": "0001-01-01T00:00:00+14:00"}, "`created_at`: must not be before the year 1900"),
        ({"tenant": "a"}, "Did you mean `tenant_id`?"),
    ],
    ids=[
        *("blank", "only NUL", "too long", "role", "no conversation", "NUL in an id", "importance", "NUL in metadata"),
        *("no zone", "future", "distant past", "unknown field"),
    ],
)
async def test_invalid_message_is_refused(client: httpx.AsyncClient, change: dict[str, Any], reason: str) -> None:
    response = await client.post(URL, json=message(**change))
    assert response.status_code == 422
    assert reason in response.json()["detail"]


async def test_longest_message_is_stored_without_what_postgres_cannot_store(client: httpx.AsyncClient) -> None:
    content = "\u0000Zebra " + "word " * 19_997 + "\ud83d"
    response = await client.post(
        URL, content=json.dumps(message(content)).encode(), headers={"Content-Type": "application/json"}
    )
    assert response.status_code == 201, response.text
    assert response.json()["content"] == "Zebra " + "word " * 19_997 + "\ufffd"
    assert len(await search(client, "zebra")) == 1


@pytest.mark.parametrize(
    ("values", "reason"),
    [
        ({"query": " "}, "`query`"),
        ({"top_k": 0}, "`top_k`"),
        ({"weights": "much"}, 'weights is not valid JSON. Send an object such as {"similarity": 1}.'),
        ({"weights": '{"speed": 1}'}, "`weights` must be a JSON object with similarity, importance, recency"),
        ({"weights": '{"recency": 0}'}, "At least one of `weights`"),
        ({"weights": '{"recency": -1}'}, "Each of `weights`"),
        ({"metadata": "[1]"}, "metadata must be an object"),
        ({"start_date": "yesterday"}, "`start_date` must be a date"),
        ({"tenant": "a"}, "Did you mean `tenant_id`?"),
    ],
    ids=["query", "top_k", "no JSON", "name", "no weight", "negative", "metadata", "date", "unknown"],
)
async def test_invalid_search_is_refused(client: httpx.AsyncClient, values: dict[str, Any], reason: str) -> None:
    response = await client.get("/v1/memory/search", params={"query": "Python", **values})
    assert response.status_code in (400, 422)
    assert reason in response.json()["detail"]


async def test_batch_has_a_result_for_each_message(client: httpx.AsyncClient) -> None:
    given = [message("One"), message(" "), 5, message("Two", user_id="ann"), message("x", extra=1)]
    answer = (await client.post(f"{URL}/batch?wait=true", json={"messages": given})).json()
    results = answer["results"]
    assert (answer["stored"], answer["refused"]) == (2, 3)
    assert [each["status"] for each in results] == ["stored", "refused", "refused", "stored", "refused"]
    assert [each["message"]["content"] for each in results if each["message"]] == ["One", "Two"]
    assert [each["message"]["state"] for each in results if each["message"]] == ["indexed", "indexed"]
    assert [each["error"] for each in results if each["error"]] == [
        "`content`: must not be blank",
        "The request: Input should be a valid dictionary or instance of MessageCreate",
        "Unknown field `extra`. Leave it out.",
    ]
    assert sorted(await listed(client)) == ["One", "Two"]


async def test_batch_is_limited(client: httpx.AsyncClient) -> None:
    full = (await client.post(f"{URL}/batch", json={"messages": [message(f"No {n}") for n in range(1000)]})).json()
    assert full["stored"] == 1000
    assert (await client.post(f"{URL}/batch", json={"messages": [message()] * 1001})).status_code == 422
    assert (await client.post(f"{URL}/batch", json={"messages": []})).status_code == 422


async def test_repeated_request_stores_nothing_twice(client: httpx.AsyncClient) -> None:
    first, again = [
        await client.post(URL, json=message(importance=0.1), headers={"Idempotency-Key": "k"}) for _ in range(2)
    ]
    assert (first.status_code, again.status_code) == (201, 201)
    assert first.json()["id"] == again.json()["id"]
    other = await client.post(URL, json=message("Another"), headers={"Idempotency-Key": "k"})
    assert other.status_code == 422
    assert "was used for another message" in other.json()["detail"]
    elsewhere = await client.post(URL, json=message(tenant_id="t"), headers={"Idempotency-Key": "k"})
    batch = {"messages": [message("One"), message("Two")]}
    ids = [
        [
            each["message"]["id"]
            for each in (await client.post(f"{URL}/batch", json=batch, headers={"Idempotency-Key": "b"})).json()[
                "results"
            ]
        ]
        for _ in range(2)
    ]
    assert elsewhere.json()["id"] != first.json()["id"]
    assert ids[0] == ids[1]
    assert sorted(await listed(client)) == ["I love Python programming", "One", "Two"]


async def test_archived_message_is_listed_on_request_and_restored(client: httpx.AsyncClient) -> None:
    stored = await store(client, tenant_id="shop")
    path, place = f"{URL}/{stored['id']}", {"tenant_id": "shop"}
    assert (await client.post(f"{path}/archive")).status_code == 404, "the tenant is missing"
    for _ in range(2):
        archived = await client.post(f"{path}/archive", params=place)
        assert archived.json()["archived_at"] is not None
    assert await listed(client, **place) == []
    assert await search(client, **place) == []
    assert await listed(client, **place, show_archived=True) == [stored["content"]]
    assert (await client.get(path, params=place)).json()["archived_at"] is not None
    for _ in range(2):
        assert (await client.post(f"{path}/restore", params=place)).json()["archived_at"] is None
    assert await listed(client, **place) == [stored["content"]]
    assert [found["id"] for found in await search(client, **place)] == [stored["id"]]
