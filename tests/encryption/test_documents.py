"""Memory stores, responses and conversations of an encrypted project."""

import uuid

import httpx
from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncEngine

SECRET = "Puffin"
SELECT_PLAIN_SQL = text("""
select (select count(*) from memories where project_id = :id and content like :secret)
  + (select count(*) from memory_history
    where project_id = :id and concat(old_memory, new_memory, input) like :secret)
  + (select count(*) from messages where project_id = :id and content like :secret)
""")


async def test_documents_and_conversations_are_sealed_and_read_as_they_were_written(
    sealed_client: httpx.AsyncClient, project_id: uuid.UUID, admin_engine: AsyncEngine
) -> None:
    stores = "/v1/memory_stores"
    store = (await sealed_client.post(stores, json={"name": "Notes"})).json()["id"]
    memories = f"{stores}/{store}/memories"
    first = (await sealed_client.post(memories, json={"path": "/a.md", "content": f"One {SECRET}"})).json()
    change = {
        "content": f"Two {SECRET}",
        "precondition": {"type": "content_sha256", "content_sha256": first["content_sha256"]},
    }
    changed = await sealed_client.post(f"{memories}/{first['id']}", json=change)
    assert changed.status_code == 200, changed.text
    [listed] = (await sealed_client.get(memories, params={"view": "full"})).json()["data"]
    assert listed["content"] == f"Two {SECRET}"
    versions = f"{stores}/{store}/memory_versions"
    kept = (await sealed_client.get(versions, params={"view": "full"})).json()["data"]
    assert [each["content"] for each in kept] == [f"Two {SECRET}", f"One {SECRET}"]
    redacted = (await sealed_client.post(f"{versions}/{first['memory_version_id']}/redact")).json()
    assert redacted["content"] is None
    item = {"role": "user", "content": f"Item {SECRET}"}
    created = await sealed_client.post("/v1/conversations", json={"metadata": {"user_id": "ann"}, "items": [item]})
    items = (await sealed_client.get(f"/v1/conversations/{created.json()['id']}/items")).json()["data"]
    assert items[0]["content"][0]["text"] == item["content"]
    async with admin_engine.connect() as connection:
        assert await connection.scalar(SELECT_PLAIN_SQL, {"id": project_id, "secret": f"%{SECRET}%"}) == 0
