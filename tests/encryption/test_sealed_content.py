"""An encrypted project works like any other, and its rows in Postgres contain nothing of what users said."""

import json
import uuid
from functools import partial

import httpx
import pytest
from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncEngine

from app.adapters.content_cipher import MasterKeys, ProjectCipher, check_master_keys
from app.chat.turn.session_lock import TurnKey, read_session
from app.core.database.content import MARK
from app.core.database.database import Database
from app.core.errors import ConfigurationError, Unavailable
from app.core.resources import Resources
from app.memory.judgement import Consolidation
from app.memory.namespace import Namespace
from app.memory.user_profiles.repository import UserProfileRepository
from app.worker import run_jobs
from tests.chat.conversation import SELECT_TABLES_SQL
from tests.encryption.conftest import encrypting_database

SECRET = "Xylophon"
ANN = {"user_id": "ann"}


async def fill_project(client: httpx.AsyncClient) -> str:
    """The secret word, through every door that stores content. Returns the id of a memory."""
    said = [{"role": "user", "content": f"My {SECRET} is blue"}, {"role": "assistant", "content": f"A {SECRET}!"}]
    added = await client.post("/v3/memories/add/", json={"messages": said, "infer": False, **ANN})
    memory_id: str = added.json()["results"][0]["id"]
    await client.put(f"/v1/memories/{memory_id}/", json={"text": f"My {SECRET} is red"})
    await client.post("/v1/feedback/", json={"memory_id": memory_id, "feedback": "POSITIVE", "feedback_reason": SECRET})
    await client.post("/v3/memories/add/", json={"messages": [{"role": "user", "content": f"{SECRET} lessons"}], **ANN})
    profile = {"name": "Work", "description": SECRET, "persona": f"Loves the {SECRET}", **ANN}
    assert (await client.post("/v1/profiles", json=profile)).status_code == 201
    chat = await client.post("/v1/chat", json={"message": f"Where is my {SECRET}?", **ANN})
    assert chat.status_code == 200, chat.text
    stored = {"conversation_id": "c", "role": "user", "content": f"The {SECRET} plays"}
    assert (await client.post("/v1/messages", json=stored)).status_code == 201
    return memory_id


async def tables_with_secret(admin: AsyncEngine, project_id: uuid.UUID) -> set[str]:
    found = set()
    async with admin.connect() as connection:
        for table in (await connection.execute(SELECT_TABLES_SQL)).scalars().all():
            rows = text(f"select exists (select from {table} t where t::text ilike :secret and t::text like :project)")
            values = {"secret": f"%{SECRET}%", "project": f"%{project_id}%"}
            if await connection.scalar(rows, values):
                found.add(str(table))
    return found


async def test_no_table_contains_what_users_said(
    sealed_client: httpx.AsyncClient, project_id: uuid.UUID, admin_engine: AsyncEngine
) -> None:
    memory_id = await fill_project(sealed_client)
    assert await tables_with_secret(admin_engine, project_id) == set()
    memory = (await sealed_client.get(f"/v1/memories/{memory_id}/")).json()
    assert memory["memory"] == f"My {SECRET} is red"
    history = (await sealed_client.get(f"/v1/memories/{memory_id}/history/")).json()
    assert [each["old_memory"] for each in history] == [None, f"My {SECRET} is blue"]
    assert history[0]["input"][0]["content"] == f"My {SECRET} is blue"


async def test_scan_finds_what_users_said_in_a_project_that_is_not_encrypted(
    client: httpx.AsyncClient, project_id: uuid.UUID, admin_engine: AsyncEngine
) -> None:
    await fill_project(client)
    names = ("memories", "memory_history", "messages", "sessions", "profiles", "feedback", "events")
    assert {f"public.{name}" for name in names} <= await tables_with_secret(admin_engine, project_id)


async def test_results_of_a_search_have_their_input(
    sealed_client: httpx.AsyncClient, sealing_resources: Resources
) -> None:
    said = [{"role": "user", "content": f"My {SECRET} is blue"}]
    async with run_jobs(sealing_resources, concurrency=1, poll_seconds=0.2):
        extracted = {"messages": said, "async_mode": False, **ANN}
        added = await sealed_client.post("/v3/memories/add/", json=extracted)
    assert added.json()["status"] == "SUCCEEDED"
    await sealed_client.post("/v3/memories/add/", json={"messages": said, "infer": False, "run_id": "r", **ANN})
    search = {"query": SECRET, "filters": ANN, "threshold": 0, "fields": ["kind", "input"]}
    found = (await sealed_client.post("/v3/memories/search/", json=search)).json()["results"]
    assert {row["kind"] for row in found} == {"fact", "episode"}
    assert [row["input"] for row in found] == [said, said]


async def test_lists_filters_and_searches_work(sealed_client: httpx.AsyncClient) -> None:
    memory_id = await fill_project(sealed_client)
    everything = {"filters": {"user_id": "ann"}}
    listed = (await sealed_client.post("/v3/memories/", json=everything)).json()["results"]
    assert f"My {SECRET} is red" in {each["memory"] for each in listed}
    by_words = {"filters": {"AND": [{"user_id": "ann"}, {"keywords": {"icontains": f"{SECRET.upper()} IS RED"}}]}}
    assert [each["id"] for each in (await sealed_client.post("/v3/memories/", json=by_words)).json()["results"]] == [
        memory_id
    ]
    found = await sealed_client.post("/v3/memories/search/", json={"query": f"{SECRET} red", **everything})
    assert found.json()["results"][0]["memory"] == f"My {SECRET} is red"
    messages = await sealed_client.get("/v1/memory/search", params={"query": f"The {SECRET}"})
    assert [each["content"] for each in messages.json()["results"]] == [f"The {SECRET} plays"]


async def test_duplicates_are_found(sealed_client: httpx.AsyncClient) -> None:
    said = {"messages": [{"role": "user", "content": f"My {SECRET}"}] * 2, "infer": False, **ANN}
    first = (await sealed_client.post("/v3/memories/add/", json=said)).json()["results"]
    again = (await sealed_client.post("/v3/memories/add/", json=said)).json()["results"]
    assert {each["id"] for each in first} == {each["id"] for each in again} == {first[0]["id"]}
    assert {each["data"]["memory"] for each in again} == {f"My {SECRET}"}


async def test_deleted_words_leave_the_context_and_input_of_other_memories(
    sealed_client: httpx.AsyncClient, sealing_database: Database, project_id: uuid.UUID
) -> None:
    said = [{"role": "user", "content": f"First {SECRET}"}, {"role": "assistant", "content": "Second"}]
    body = {"messages": said, "infer": False, "run_id": "r", **ANN}
    first, second = (await sealed_client.post("/v3/memories/add/", json=body)).json()["results"]
    contexts = text("select id, context from memories where id = :id")
    async with sealing_database.transaction(project_id) as tx:
        assert (await tx.execute(contexts, {"id": second["id"]})).one().context == f"First {SECRET}"
    await sealed_client.delete(f"/v1/memories/{first['id']}/")
    async with sealing_database.transaction(project_id) as tx:
        assert (await tx.execute(contexts, {"id": second["id"]})).one().context is None


@pytest.mark.parametrize(
    "damage",
    [
        "update memories m set content = o.content from memories o where m.id = :id and o.id = :other",
        "update memories set content = overlay(content placing 'AAAA' from length(content) - 8) where id = :id",
    ],
    ids=["moved", "changed"],
)
async def test_damaged_content_is_reported_and_not_returned(
    sealed_client: httpx.AsyncClient, admin_engine: AsyncEngine, damage: str
) -> None:
    said = [{"role": "user", "content": f"One {SECRET}"}, {"role": "assistant", "content": f"Two {SECRET}"}]
    body = {"messages": said, "infer": False, **ANN}
    one, two = (await sealed_client.post("/v3/memories/add/", json=body)).json()["results"]
    async with admin_engine.begin() as connection:
        await connection.execute(text(damage), {"id": one["id"], "other": two["id"]})
    response = await sealed_client.get(f"/v1/memories/{one['id']}/")
    assert (response.status_code, response.json()["code"]) == (503, "content_damaged")
    assert SECRET not in response.text
    assert (await sealed_client.get(f"/v1/memories/{two['id']}/")).json()["memory"] == f"Two {SECRET}"


async def test_text_that_looks_sealed_is_text(
    sealed_client: httpx.AsyncClient, project_id: uuid.UUID, sealing_database: Database
) -> None:
    """Stored in an encrypted project, in fields that are not encrypted, and in a project without encryption."""
    texts = [f"{MARK}{name * 22}:{'A' * 80}" for name in "ABCD"]
    said = {"messages": [{"role": "user", "content": each} for each in texts], "infer": False, **ANN}
    added = await sealed_client.post("/v3/memories/add/", json={**said, "metadata": {"copy": texts}})
    assert [each["data"]["memory"] for each in added.json()["results"]] == texts
    listed = await sealed_client.post("/v3/memories/", json={"filters": ANN})
    assert {each["memory"] for each in listed.json()["results"]} == set(texts)
    for each in added.json()["results"]:
        assert (await sealed_client.get(f"/v1/memories/{each['id']}/")).json()["metadata"] == {"copy": texts}
    plain = encrypting_database(sealing_database.url, new_projects=False)
    async with plain.transaction(uuid.uuid4()) as tx:
        rows = await tx.execute(text("select unnest(cast(:texts as text[]))"), {"texts": texts})
        assert rows.scalars().all() == texts
    await plain.close()


async def test_wrong_master_key_is_named_and_nothing_is_lost(
    sealed_client: httpx.AsyncClient, sealing_database: Database, project_id: uuid.UUID
) -> None:
    memory_id = await fill_project(sealed_client)
    wrong = encrypting_database(sealing_database.url, "another master key of the tests, as long")
    with pytest.raises(Unavailable, match=r"master key [0-9a-f]{16}, which is not in CONTENT_KEYS"):
        async with wrong.transaction(project_id):
            pass
    await wrong.close()
    for masters in (None, MasterKeys(["another master key of the tests, as long"])):
        with pytest.raises(ConfigurationError, match=r"not in CONTENT_KEYS\. Add that key"):
            await check_master_keys(sealing_database, masters)
    assert SECRET in (await sealed_client.get(f"/v1/memories/{memory_id}/")).json()["memory"]


async def test_deleting_a_project_destroys_its_keys(
    sealed_client: httpx.AsyncClient, sealing_database: Database, project_id: uuid.UUID, admin_engine: AsyncEngine
) -> None:
    await fill_project(sealed_client)
    async with admin_engine.begin() as connection:
        copied = await connection.scalar(
            text("select content from memories where project_id = :id"), {"id": project_id}
        )
        await connection.execute(text("delete from projects where id = :id"), {"id": project_id})
        keys = text("select count(*) from content_keys where project_id = :id")
        assert await connection.scalar(keys, {"id": project_id}) == 0
    cipher = ProjectCipher(sealing_database, MasterKeys(["a master key of the tests, long enough"]))
    with pytest.raises(Unavailable):
        cipher.open(copied, ())
    await cipher.prepare(project_id)
    assert cipher.open(copied, ()) is None


async def test_listed_metadata_cannot_pass_for_a_memory(sealed_client: httpx.AsyncClient) -> None:
    """A list is decrypted in the JSON text that Postgres renders."""
    looks_sealed = {"id": str(uuid.uuid4()), "memory": f"{MARK}x"}
    said = {"messages": [{"role": "user", "content": f'A "quoted"\n{SECRET}'}], "infer": False, **ANN}
    metadata = {"one": looks_sealed, "two": json.dumps(looks_sealed, separators=(",", ":"))}
    await sealed_client.post("/v3/memories/add/", json={**said, "metadata": metadata})
    body = {"filters": {"user_id": "ann"}}
    (memory,) = (await sealed_client.post("/v3/memories/", json=body)).json()["results"]
    assert (memory["memory"], memory["metadata"]) == (f'A "quoted"\n{SECRET}', metadata)


async def test_standing_memories_and_user_profile_of_an_encrypted_project_are_in_the_prompt(
    sealed_client: httpx.AsyncClient, sealing_resources: Resources, project_id: uuid.UUID
) -> None:
    rule = "Always answer in bullet points"
    await sealed_client.post("/v3/memories/add/", json={"messages": rule, "infer": False, **ANN})
    answer = await sealed_client.post("/v1/chat", json={"message": "Who wrote Faust?", **ANN})
    assert answer.status_code == 200, answer.text
    assert [each["memory"] for each in answer.json()["standing"]] == [rule]
    session = {"project_id": project_id, "id": uuid.UUID(answer.json()["session_id"])}
    async with sealing_resources.database.transaction(project_id) as tx:
        [row] = await tx.execute(text("select * from sessions where project_id = :project_id and id = :id"), session)
        namespace = Namespace(project_id, row.user_id, row.profile_id)
        await UserProfileRepository(tx, project_id).put(namespace, {"diet": "vegan"}, [], None)
    async with sealing_resources.database.system() as tx:
        switch = "update projects set settings = settings || '{\"profiles_enabled\": true}' where id = :id"
        await tx.execute(text(switch), {"id": project_id})
    key = TurnKey(uuid.uuid4(), project_id, session["id"], None, None, b"")
    run_pipeline = partial(sealing_resources.database.pipeline, project_id, None)
    state = await read_session(run_pipeline, key, sealing_resources.config)
    assert state.user_profile == {"diet": "vegan"}
    question = (await sealed_client.post("/v1/chat", json={"message": "Forget the bullet points", **ANN})).json()
    assert [each["memory"] for each in question["forget"]["memories"]] == [rule]


async def test_statement_of_an_encrypted_project_replaces_an_older_one(sealed_client: httpx.AsyncClient) -> None:
    for words in ("I work at Northwind", "I now work at Contoso"):
        await sealed_client.post("/v3/memories/add/", json={"messages": words, "infer": False, **ANN})
    query = {"query": "Where do I work?", "filters": ANN, "threshold": 0}
    found = (await sealed_client.post("/v3/memories/search/", json=query)).json()
    assert [each["memory"] for each in found["results"]] == ["I now work at Contoso"]


async def test_statements_of_an_encrypted_project_that_say_the_same_are_merged(
    sealed_client: httpx.AsyncClient, sealing_resources: Resources, project_id: uuid.UUID
) -> None:
    for words in ("I am allergic to peanuts", "I like tea", "The user has a peanut allergy"):
        await sealed_client.post("/v3/memories/add/", json={"messages": words, "infer": False, **ANN})
    counts = await Consolidation(sealing_resources.database, merge_duplicates=True).run(project_id, lambda *_: None)
    assert (counts[project_id].statements, counts[project_id].merged) == (3, 1)
