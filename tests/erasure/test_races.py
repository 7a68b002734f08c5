"""What had read the content when it was erased writes nothing of it back."""

import asyncio
import threading
import uuid
from collections.abc import AsyncIterator, Iterator
from dataclasses import replace

import httpx
import pytest
import pytest_asyncio
from fastapi import FastAPI

from app.adapters.models.mem0 import Mem0Extractor, OpenAIExtractionModel
from app.adapters.models.openai import Connection, OpenAIModel
from app.core.resources import Resources
from app.erasure.jobs import complete_erasure
from app.main import create_app
from app.memory.extraction import run_extraction
from app.memory.namespace import Namespace
from app.memory.remember import Conversation, queue_extraction
from app.portability.exports.write_chunks import run_export
from tests.chat.conversation import AdminRows, start_conversation
from tests.conftest import KeyHolder
from tests.model_server import Facts, Held, ModelServer, Says
from tests.patience import PATIENCE_SECONDS

SECRET = "Spürhund"


@pytest_asyncio.fixture
async def racing_resources(resources: Resources, model_server: ModelServer) -> AsyncIterator[Resources]:
    model = OpenAIModel(Connection(base_url=model_server.url, tries=1), model="any")
    extractor = Mem0Extractor(OpenAIExtractionModel(model))
    yield replace(resources, llm=model, extractor=extractor, config=replace(resources.config, has_model=True))
    await extractor.close()


@pytest.fixture
def app(racing_resources: Resources) -> FastAPI:
    return create_app(racing_resources)


@pytest.fixture
def answer_now() -> Iterator[threading.Event]:
    event = threading.Event()
    yield event
    event.set()


async def erase_user(client: httpx.AsyncClient, user_id: str) -> uuid.UUID:
    response = await client.post("/v1/erase", json={"user_id": user_id})
    assert response.status_code == 200, response.text
    return uuid.UUID(response.json()["receipt"]["id"])


async def until_asked(model_server: ModelServer) -> None:
    async with asyncio.timeout(PATIENCE_SECONDS):
        while not model_server.requests:  # noqa: ASYNC110  # the server runs in another thread
            await asyncio.sleep(0.01)


@pytest.mark.parametrize("mode", ["normal", "incognito"])
async def test_turn_whose_user_is_erased_during_the_answer_leaves_nothing(
    mode: str,
    key_holder: KeyHolder,
    racing_resources: Resources,
    model_server: ModelServer,
    admin_rows: AdminRows,
    answer_now: threading.Event,
) -> None:
    session = await start_conversation(key_holder.client, key_holder.project_id, mode, f"{SECRET}-{uuid.uuid4()}")
    model_server.chat(Held(answer_now, Says(f"I see, {SECRET}")))
    answering = asyncio.create_task(session.post(f"My name is {SECRET}"))
    await until_asked(model_server)
    erasure_id = await erase_user(session.client, session.user_id)
    answer_now.set()
    late = await answering
    assert (late.status_code, SECRET in late.text) == ((404, False) if mode == "normal" else (200, True))
    assert await admin_rows.tables_containing(SECRET) == []
    for window in ("window", "incognito"):
        assert await racing_resources.short_term.get(f"{window}:{session.session_id}") is None
    await complete_erasure(racing_resources, session.project_id, erasure_id)


async def test_extraction_of_an_erased_user_stores_nothing(
    key_holder: KeyHolder,
    racing_resources: Resources,
    model_server: ModelServer,
    admin_rows: AdminRows,
    answer_now: threading.Event,
) -> None:
    user_id = f"{SECRET}-{uuid.uuid4()}"
    body = {"messages": f"I have a {SECRET}", "user_id": user_id}
    added = (await key_holder.client.post("/v3/memories/add/", json=body)).json()
    model_server.always(Held(answer_now, Facts(f"User has a {SECRET}")))
    project_id, event_id = key_holder.project_id, uuid.UUID(added["event_id"])
    reading = asyncio.create_task(run_extraction(racing_resources, project_id, event_id, 0))
    await until_asked(model_server)
    await erase_user(key_holder.client, user_id)
    answer_now.set()
    await reading
    assert await admin_rows.tables_containing(SECRET) == []


async def test_event_of_a_request_that_ran_at_the_same_time_is_removed_a_minute_later(
    key_holder: KeyHolder, racing_resources: Resources, admin_rows: AdminRows
) -> None:
    """The request had found the profile before, and has queued its messages afterwards."""
    session = await start_conversation(key_holder.client, key_holder.project_id)
    erasure_id = await erase_user(session.client, session.user_id)
    namespace = Namespace(session.project_id, session.user_id, uuid.UUID(session.profile_id))
    conversation = Conversation([{"role": "user", "content": f"I have a {SECRET}"}])
    async with racing_resources.database.transaction(session.project_id) as tx:
        await queue_extraction(tx, namespace, conversation)
    assert await admin_rows.tables_containing(SECRET) == ["public.events"]
    assert await admin_rows.count_jobs(session.project_id, "memory.extract") == 1
    await complete_erasure(racing_resources, session.project_id, erasure_id)
    assert await admin_rows.tables_containing(SECRET) == []
    assert await admin_rows.count_jobs(session.project_id) == 1, "only its own"


async def test_what_is_imported_after_an_erasure_stays(
    key_holder: KeyHolder, racing_resources: Resources, admin_rows: AdminRows
) -> None:
    """An import keeps the ids of the rows that were erased."""
    client, user_id = key_holder.client, f"ann-{uuid.uuid4()}"
    memory = {"messages": f"I have a {SECRET}", "user_id": user_id, "infer": False}
    added = (await client.post("/v3/memories/add/", json=memory)).json()["results"][0]["id"]
    message = {"conversation_id": "c", "role": "user", "content": f"My {SECRET} barks", "user_id": user_id}
    stored = (await client.post("/v1/messages", json=message)).json()["id"]
    session = (await client.post("/v1/chat", json={"message": f"A {SECRET}!", "user_id": user_id})).json()["session_id"]
    exported = (await client.post("/v1/export", json={"user_id": user_id})).json()["id"]
    await run_export(racing_resources, key_holder.project_id, uuid.UUID(exported), 0)
    file = await client.get(f"/v1/export/{exported}")
    erasure_id = await erase_user(client, user_id)
    imported = await client.post("/v1/import", content=file.content, headers={"Content-Type": "application/x-ndjson"})
    assert imported.json()["errors"] == []
    await complete_erasure(racing_resources, key_holder.project_id, erasure_id)
    for path in (f"/v1/memories/{added}/", f"/v1/messages/{stored}", f"/v1/sessions/{session}"):
        assert (await client.get(path)).status_code == 200, path
    assert "public.memories" in await admin_rows.tables_containing(SECRET)


async def test_history_of_a_deleted_memory_stays_with_its_user_when_its_id_is_used_again(
    key_holder: KeyHolder, racing_resources: Resources, admin_rows: AdminRows
) -> None:
    client, carol = key_holder.client, f"carol-{uuid.uuid4()}"
    memory = {"messages": "I like tea", "user_id": carol, "infer": False}
    used = (await client.post("/v3/memories/add/", json=memory)).json()["results"][0]["id"]
    await client.delete(f"/v1/memories/{used}/")
    line = {"type": "memory", "id": used, "memory": "Mine now", "user_id": "eve"}
    await client.post("/v1/import", json=line)
    assert (await client.get(f"/v1/memories/{used}/")).json()["user_id"] == "eve"
    assert (await client.post("/v1/erase", json={"memory_id": used})).status_code == 200
    count = "select count(*) from public.memory_history where user_id = :user and event in ('ADD', 'DELETE')"
    assert await admin_rows.select_value(count, user=carol) == 2
