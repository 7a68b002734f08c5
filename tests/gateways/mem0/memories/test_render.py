"""A memory reads the same wherever it is shown: in a list, alone, found by a search, changed."""

from typing import Any

import httpx
import pytest

HERS = {"user_id": "alice"}
MOMENTS = [
    "2024-02-29T23:59:59.5Z",
    "2024-12-30T00:00:00Z",
    "2023-01-01T12:34:56.000007Z",
    "2022-10-09T00:00:00+02:00",
    "1969-07-20T20:17:40Z",
    "2026-08-15T09:05:00Z",
]


async def keep(client: httpx.AsyncClient, **body: Any) -> str:
    asked = {"messages": "I like tea", "infer": False, **HERS, **body}
    response = await client.post("/v3/memories/add/", json=asked)
    assert response.status_code == 200, response.text
    memory_id: str = response.json()["results"][0]["id"]
    return memory_id


@pytest.mark.parametrize("moment", MOMENTS)
async def test_a_memory_reads_the_same_everywhere(client: httpx.AsyncClient, moment: str) -> None:
    odd = {"text": 'a "quoted" \\ ünïcode\n☕', "nested": {"list": [1, 2.5, None, True]}}
    about = {"agent_id": "a1", "run_id": "r1", "metadata": odd, "expiration_date": "2999-12-31"}
    memory_id = await keep(client, timestamp=moment, messages='She said "tea" \\ ☕\n%s :x', **about)
    alone = (await client.get(f"/v1/memories/{memory_id}/")).json()
    listed = (await client.post("/v3/memories/", json={"filters": HERS})).json()["results"]
    assert listed == [alone]
    question = {"query": "tea", "filters": HERS, "threshold": 0}
    (found,) = (await client.post("/v3/memories/search/", json=question)).json()["results"]
    assert found.pop("score") >= 0
    assert found == alone
    assert alone["metadata"] == odd


async def test_a_list_can_be_cut_to_some_fields(client: httpx.AsyncClient) -> None:
    await keep(client)
    asked = {"filters": HERS, "fields": ["memory", "user_id", "nonsense"]}
    assert (await client.post("/v3/memories/", json=asked)).json()["results"] == [
        {"memory": "I like tea", "user_id": "alice"}
    ]
