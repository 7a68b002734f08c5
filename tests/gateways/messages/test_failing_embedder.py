"""While embedding fails, messages are stored and found by their words. They are embedded later."""

import uuid
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import httpx

from app.api_keys.repository import ApiKeyRepository
from app.core.resources import Resources
from app.identity.scopes import EVERYTHING
from app.main import create_app
from app.memory.indexing import sweep
from app.settings import Settings
from app.wiring import open_resources
from tests.conftest import open_client
from tests.gateways.messages.test_routes import URL, message
from tests.model_server import Fails, ModelServer


@asynccontextmanager
async def connected(
    settings: Settings, model_server: ModelServer, folder: Path, project_id: uuid.UUID
) -> AsyncIterator[tuple[Resources, httpx.AsyncClient]]:
    """A server that embeds at the model server."""
    remote = {"embedder": "openai", "embedder_model": "any", "embedder_base_url": model_server.url}
    changed = settings.model_copy(update={**remote, "data_dir": folder})
    async with open_resources(changed) as resources:
        async with resources.database.transaction(project_id) as tx:
            _, key = await ApiKeyRepository(tx, project_id).issue(
                resources.key_pepper, name="test", scopes=sorted(EVERYTHING), expires_at=None, created_by=None
            )
        async with open_client(create_app(resources), key) as client:
            yield resources, client


async def test_message_is_found_by_its_words_while_embedding_fails(
    settings: Settings, model_server: ModelServer, tmp_path: Path, project_id: uuid.UUID
) -> None:
    async with connected(settings, model_server, tmp_path, project_id) as (_, client):
        model_server.chat(*[Fails(500)] * 100)
        stored = await client.post(f"{URL}?wait=true", json=message("I love Python programming"))
        await client.post(URL, json=message("The weather is nice"))
        found = (await client.get("/v1/memory/search", params={"query": "python programs"})).json()
        ready = await client.get("/v1/ready")
    model_server.forget()
    assert (ready.status_code, ready.json()["status"]) == (200, "degraded")
    assert ready.json()["checks"]["embedding_model"] == "unavailable"
    assert (stored.status_code, stored.json()["state"]) == (201, "pending")
    assert [each["content"] for each in found["results"]] == ["I love Python programming"]
    assert (found["by_meaning"], found["results"][0]["similarity"]) == (False, 0.5)
    async with connected(settings, model_server, tmp_path, project_id) as (resources, client):
        await sweep(resources, older_than_seconds=0)
        await resources.index_queue.wait_until_indexed(project_id, [f"{project_id}:messages:"])
        found = (await client.get("/v1/memory/search", params={"query": "python programs"})).json()
        assert await resources.checks["embedding_model"]()
    assert found["by_meaning"]
    assert [each["state"] for each in found["results"]] == ["indexed", "indexed"]
