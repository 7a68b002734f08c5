"""A memory without visible characters is refused by every route that writes one."""

import httpx
import pytest

BLANK = pytest.mark.parametrize("text", ["", " \n\t", "\u200b\u2060"], ids=["empty", "spaces", "invisible"])


async def add_one(client: httpx.AsyncClient) -> str:
    body = {"messages": "I keep bees", "user_id": "ann", "infer": False}
    added = (await client.post("/v3/memories/add/", json=body)).json()
    return str(added["results"][0]["id"])


async def list_texts(client: httpx.AsyncClient) -> list[str]:
    listed = await client.post("/v3/memories/", json={"filters": {"user_id": "ann"}})
    return [memory["memory"] for memory in listed.json()["results"]]


@BLANK
async def test_update_with_a_blank_text_is_refused(client: httpx.AsyncClient, text: str) -> None:
    memory_id = await add_one(client)
    response = await client.put(f"/v1/memories/{memory_id}/", json={"text": text})
    assert response.status_code == 400, response.text
    batch = {"memories": [{"memory_id": memory_id, "text": text}]}
    response = await client.put("/v1/batch/", json=batch)
    assert response.status_code == 400, response.text
    assert await list_texts(client) == ["I keep bees"]


@BLANK
@pytest.mark.parametrize("infer", [False, True], ids=["verbatim", "extracted"])
async def test_add_ignores_blank_messages(client: httpx.AsyncClient, text: str, infer: bool) -> None:
    body = {"messages": [{"role": "user", "content": text}], "user_id": "ann", "infer": infer}
    response = await client.post("/v3/memories/add/", json=body)
    assert response.status_code == 400, response.text
    assert await list_texts(client) == []
