"""An export over HTTP: requested, written by a job, fetched in parts, and deleted."""

import json
import uuid
from pathlib import Path

import httpx
import pytest
from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncEngine

from app.core.database.database import Database
from app.core.resources import Resources
from app.portability.exports.models import CHUNK_BYTES
from app.portability.exports.write_chunks import FAILED, MAX_ATTEMPTS, ChunkWriter, run_export
from app.portability.exports.write_file import ExportPart
from tests.conftest import KeyHolder, MakeKey, SignUp
from tests.members import add_member
from tests.memory.namespaces import add_memories, create_namespace
from tests.portability.files import Json, export_file

JOB = text(
    "select args from jobs.procrastinate_jobs where task_name = 'data_exports.write' and args ->> 'export_id' = :id"
)


async def request_export(client: httpx.AsyncClient, **body: object) -> str:
    response = await client.post("/v1/export", json=body)
    assert response.status_code == 202, response.text
    assert response.json()["state"] == "pending"
    return str(response.json()["id"])


async def finish_export(resources: Resources, key: KeyHolder, **body: object) -> str:
    """What the queued job does."""
    export_id = await request_export(key.client, **body)
    await run_export(resources, key.project_id, uuid.UUID(export_id), 0)
    return export_id


async def read_state(client: httpx.AsyncClient, export_id: str) -> Json:
    response = await client.get(f"/v1/export/{export_id}", headers={"Accept": "application/json"})
    assert response.status_code == 200, response.text
    state: Json = response.json()
    return state


async def test_export_is_pending_until_its_job_has_written_the_file(
    key_holder: KeyHolder, resources: Resources, database: Database, admin_engine: AsyncEngine, tmp_path: Path
) -> None:
    namespace = await create_namespace(resources, key_holder.project_id)
    await add_memories(resources, namespace, "I keep bees", "\u202eI keep goats")
    client = key_holder.client
    export_id = await request_export(client)
    async with admin_engine.connect() as connection:
        arguments = await connection.scalar(JOB, {"id": export_id})
    assert arguments == {"project_id": str(key_holder.project_id), "export_id": export_id}
    pending = await client.get(f"/v1/export/{export_id}")
    assert (pending.status_code, pending.json()["state"], "retry-after" in pending.headers) == (202, "pending", True)
    await run_export(resources, key_holder.project_id, uuid.UUID(export_id), 0)
    file = await client.get(f"/v1/export/{export_id}")
    assert (file.status_code, file.headers["content-type"]) == (200, "application/x-ndjson")
    await export_file(database, key_holder.project_id, tmp_path / "same.jsonl")
    assert file.content.splitlines()[1:] == (tmp_path / "same.jsonl").read_bytes().splitlines()[1:]
    state = await read_state(client, export_id)
    assert (state["state"], state["done"], state["total"], state["size"]) == ("finished", 3, 3, len(file.content))
    assert state["counts"] == {"profile": 1, "memory": 2, "history": 2}


async def test_download_is_resumed_with_a_range(key_holder: KeyHolder, resources: Resources) -> None:
    namespace = await create_namespace(resources, key_holder.project_id)
    long = [f"{number} " + "wörd " * 19_000 for number in range(12)]
    await add_memories(resources, namespace, *long)
    path = f"/v1/export/{await finish_export(resources, key_holder)}"
    whole = await key_holder.client.get(path)
    size = len(whole.content)
    assert size > 2 * CHUNK_BYTES
    assert whole.headers["content-length"] == str(size)
    for first, last in ((0, 0), (CHUNK_BYTES - 1, CHUNK_BYTES), (CHUNK_BYTES, size - 1), (5, size - 5)):
        headers = {"Range": f"bytes={first}-{last}", "If-Range": whole.headers["etag"]}
        part = await key_holder.client.get(path, headers=headers)
        assert (part.status_code, part.content) == (206, whole.content[first : last + 1])
        assert part.headers["content-range"] == f"bytes {first}-{last}/{size}"
    other = await key_holder.client.get(path, headers={"Range": "bytes=5-", "If-Range": '"of another file"'})
    assert (other.status_code, other.content) == (200, whole.content)
    after = await key_holder.client.get(path, headers={"Range": f"bytes={size}-"})
    assert (after.status_code, after.json()["code"]) == (416, "range_not_satisfiable")
    assert after.headers["content-range"] == f"bytes */{size}"


async def test_interrupted_export_begins_again(key_holder: KeyHolder, resources: Resources) -> None:
    namespace = await create_namespace(resources, key_holder.project_id)
    await add_memories(resources, namespace, "I keep bees")
    export_id = await request_export(key_holder.client)
    await begin_and_stop(resources, key_holder.project_id, export_id)
    await run_export(resources, key_holder.project_id, uuid.UUID(export_id), 1)
    lines = (await key_holder.client.get(f"/v1/export/{export_id}")).content.splitlines()
    assert [json.loads(line).get("type") for line in lines] == [None, "profile", "memory", "history", "end"]


async def begin_and_stop(resources: Resources, project_id: uuid.UUID, export_id: str) -> ChunkWriter:
    """A run that has written a chunk when its process ends."""
    run = ChunkWriter(resources, project_id, uuid.UUID(export_id))
    begin = text("update data_exports set state = 'running', run_id = :run where id = :id")
    async with resources.database.transaction(project_id) as tx:
        await tx.execute(begin, {"run": run.run_id, "id": export_id})
    assert await run.add(ExportPart(b"x" * CHUNK_BYTES, 0, 0, {}))
    return run


async def test_run_that_was_replaced_or_whose_export_was_deleted_writes_nothing(
    key_holder: KeyHolder, resources: Resources, admin_engine: AsyncEngine
) -> None:
    export_id = await request_export(key_holder.client)
    old = await begin_and_stop(resources, key_holder.project_id, export_id)
    await run_export(resources, key_holder.project_id, uuid.UUID(export_id), 1)
    whole = (await key_holder.client.get(f"/v1/export/{export_id}")).content
    assert not await old.add(ExportPart(b"y" * CHUNK_BYTES, 0, 0, {}))
    await old.finish()
    assert (await key_holder.client.get(f"/v1/export/{export_id}")).content == whole
    assert (await key_holder.client.delete(f"/v1/export/{export_id}")).status_code == 200
    assert (await key_holder.client.get(f"/v1/export/{export_id}")).status_code == 404
    await run_export(resources, key_holder.project_id, uuid.UUID(export_id), 0)
    async with admin_engine.connect() as connection:
        count = text("select count(*) from data_export_chunks where project_id = :id")
        assert await connection.scalar(count, {"id": key_holder.project_id}) == 0


async def test_expired_export_is_not_found_and_is_deleted(
    key_holder: KeyHolder, resources: Resources, admin_engine: AsyncEngine
) -> None:
    export_id = await finish_export(resources, key_holder)
    async with admin_engine.begin() as connection:
        await connection.execute(
            text("update data_exports set expires_at = now() - interval '1 second' where id = :id"), {"id": export_id}
        )
    assert (await key_holder.client.get(f"/v1/export/{export_id}")).status_code == 404
    assert (await key_holder.client.get("/v1/export")).json()["results"] == []


async def test_export_that_keeps_failing_ends_with_a_sentence(
    key_holder: KeyHolder, resources: Resources, admin_engine: AsyncEngine
) -> None:
    export_id = await request_export(key_holder.client)
    async with admin_engine.begin() as connection:  # as when Postgres fails while the file is finished
        await connection.execute(
            text("alter table data_exports add constraint never check (state <> 'finished') not valid")
        )
    try:
        for attempt in range(MAX_ATTEMPTS - 1):
            with pytest.raises(Exception, match="never"):
                await run_export(resources, key_holder.project_id, uuid.UUID(export_id), attempt)
        await run_export(resources, key_holder.project_id, uuid.UUID(export_id), MAX_ATTEMPTS - 1)
    finally:
        async with admin_engine.begin() as connection:
            await connection.execute(text("alter table data_exports drop constraint never"))
    state = await read_state(key_holder.client, export_id)
    assert (state["state"], state["error"]) == ("failed", FAILED)
    response = await key_holder.client.get(f"/v1/export/{export_id}")
    assert (response.status_code, response.json()["code"]) == (409, "export_failed")


async def test_unfetched_exports_are_limited(client: httpx.AsyncClient) -> None:
    ids = [await request_export(client) for _ in range(5)]
    refused = await client.post("/v1/export", json={})
    assert (refused.status_code, refused.json()["code"]) == (409, "too_many_exports")
    await request_export(client, user_id="anna")  # the data of a user count apart
    await client.delete(f"/v1/export/{ids[0]}")
    await request_export(client)


async def test_export_needs_the_right_to_read_everything_in_it(make_key: MakeKey) -> None:
    key = await make_key("memories:read", "profiles:read")
    response = await key.client.post("/v1/export", json={})
    assert (response.status_code, "sessions:read" in response.json()["detail"]) == (403, True)


async def test_end_user_exports_their_own_data_only(
    key_holder: KeyHolder, resources: Resources, sign_up: SignUp
) -> None:
    person = await sign_up()
    await add_member(key_holder.client, f"/v1/projects/{key_holder.project_id}/members", person, "USER")
    theirs = {"X-Project-Id": str(key_holder.project_id)}
    own = await create_namespace(resources, key_holder.project_id, str(person.account_id))
    other = await create_namespace(resources, key_holder.project_id, "ben")
    await add_memories(resources, own, "I keep bees")
    await add_memories(resources, other, "I keep goats")
    refused = await person.client.post("/v1/export", json={"user_id": "ben"}, headers=theirs)
    assert refused.status_code == 403
    response = await person.client.post("/v1/export", json={}, headers=theirs)
    export_id = response.json()["id"]
    assert response.json()["user_id"] == str(person.account_id)
    whole = await finish_export(resources, key_holder)
    await run_export(resources, key_holder.project_id, uuid.UUID(export_id), 0)
    lines = [
        json.loads(line)
        for line in (await person.client.get(f"/v1/export/{export_id}", headers=theirs)).content.splitlines()
    ]
    assert [line["memory"] for line in lines if line.get("type") == "memory"] == ["I keep bees"]
    [account] = [line for line in lines if line.get("type") == "account"]
    assert (account["id"], account["email"]) == (str(person.account_id), person.email)
    assert "ben" not in json.dumps(lines)
    assert (await person.client.get(f"/v1/export/{whole}", headers=theirs)).status_code == 404
    listed = (await person.client.get("/v1/export", headers=theirs)).json()["results"]
    assert [each["id"] for each in listed] == [export_id]


async def test_deleted_account_leaves_no_export_with_its_data(
    key_holder: KeyHolder, resources: Resources, sign_up: SignUp
) -> None:
    person = await sign_up()
    await add_member(key_holder.client, f"/v1/projects/{key_holder.project_id}/members", person, "USER")
    exports = [await finish_export(resources, key_holder, **body) for body in ({}, {"user_id": str(person.account_id)})]
    other = await finish_export(resources, key_holder, user_id="ben")
    assert (await person.client.delete("/v1/auth/me")).status_code == 200
    for export_id in exports:
        assert (await key_holder.client.get(f"/v1/export/{export_id}")).status_code == 404
    assert (await key_holder.client.get(f"/v1/export/{other}")).status_code == 200
