"""A memory is rendered equally by Python and by Postgres: in a list, alone and as a search result."""

from typing import Any

import httpx
import pytest

ALICE = {"user_id": "alice"}
TIMESTAMPS = [
    "2024-02-29T23:59:59.5Z",
    "2024-12-30T00:00:00Z",
    "2023-01-01T12:34:56.000007Z",
    "2022-10-09T00:00:00+02:00",
    "1969-07-20T20:17:40Z",
    "2026-08-15T09:05:00Z",
]


async def store(client: httpx.AsyncClient, **body: Any) -> str:
    asked = {"messages": "I like tea", "infer": False, **ALICE, **body}
    response = await client.post("/v3/memories/add/", json=asked)
    assert response.status_code == 200, response.text
    memory_id: str = response.json()["results"][0]["id"]
    return memory_id


@pytest.mark.parametrize("moment", TIMESTAMPS)
async def test_memory_is_rendered_equally_by_every_route(client: httpx.AsyncClient, moment: str) -> None:
    odd = {"text": 'a "quoted" \\ ünïcode\n☕', "nested": {"list": [1, 2.5, None, True]}}
    about = {"agent_id": "a1", "run_id": "r1", "metadata": odd, "expiration_date": "2999-12-31"}
    memory_id = await store(client, timestamp=moment, messages='She said "tea" \\ ☕\n%s :x', **about)
    alone = (await client.get(f"/v1/memories/{memory_id}/")).json()
    assert [each["run_id"] for each in alone.pop("sources")] == ["r1"]
    listed = (await client.post("/v3/memories/", json={"filters": ALICE})).json()["results"]
    assert listed == [alone]
    question = {"query": "tea", "filters": ALICE, "threshold": 0}
    (found,) = (await client.post("/v3/memories/search/", json=question)).json()["results"]
    assert found.pop("score") >= 0
    assert [message["role"] for message in found.pop("input")] == ["user"]
    assert found == alone
    assert alone["metadata"] == odd


async def test_list_returns_only_requested_fields(client: httpx.AsyncClient) -> None:
    await store(client)
    asked = {"filters": ALICE, "fields": ["memory", "user_id", "nonsense"]}
    assert (await client.post("/v3/memories/", json=asked)).json()["results"] == [
        {"memory": "I like tea", "user_id": "alice"}
    ]
