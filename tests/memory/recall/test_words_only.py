"""While the provider that embeds is away, what is stored is found by its words, and answers say so."""

from collections.abc import AsyncIterator
from dataclasses import replace
from pathlib import Path

import httpx
import pytest
import pytest_asyncio
from fastapi import FastAPI
from structlog.testing import capture_logs

from app.adapters.models.embedders.openai import OpenAIEmbeddingClient
from app.adapters.models.embedders.remote import KnownDimensions, open_remote_embedder
from app.adapters.models.openai import Connection
from app.adapters.vectors.qdrant_edge import QdrantEdgeIndex
from app.core.observability.metrics import REGISTRY
from app.core.resources import Resources
from app.main import create_app
from app.memory.indexing import Indexer, sweep
from tests.adapters.models.embedders.test_remote import RESTLESS
from tests.conftest import KeyHolder, open_client
from tests.model_server import Behaviour, Decides, Fails, Hangs, ModelServer, Says, Sent
from tests.patience import PATIENCE_SECONDS

ANN = {"user_id": "ann"}


@pytest_asyncio.fixture
async def app_of_provider(
    request: pytest.FixtureRequest, resources: Resources, model_server: ModelServer, tmp_path: Path
) -> AsyncIterator[tuple[Resources, FastAPI]]:
    """The app with an embedder at the model server, and an index and an indexer for it. Its parameter is how many
    seconds a question may take."""
    questions = replace(RESTLESS.questions, timeout_seconds=getattr(request, "param", PATIENCE_SECONDS))
    client = OpenAIEmbeddingClient(Connection(model_server.url), model="any")
    dimensions = KnownDimensions(tmp_path / "dimensions.json")
    embedder = await open_remote_embedder(client, dimensions, replace(RESTLESS, questions=questions))
    index = await QdrantEdgeIndex.open(tmp_path / "index", embedder.name, embedder.dimensions)
    indexer = Indexer(resources.database, embedder, index)
    indexer.start()
    checks = {**resources.checks, "embedding_model": embedder.healthy}
    changed = replace(
        resources,
        embedder=embedder,
        index=index,
        index_queue=indexer,
        checks=checks,
        supervised_tasks=[indexer.worker],
    )
    yield changed, create_app(changed)
    await indexer.close()
    await index.close()
    await embedder.close()


@pytest_asyncio.fixture
async def provider_client(
    app_of_provider: tuple[Resources, FastAPI], key_holder: KeyHolder
) -> AsyncIterator[httpx.AsyncClient]:
    async with open_client(app_of_provider[1], key_holder.key) as client:
        yield client


async def add(client: httpx.AsyncClient, *contents: str, **values: object) -> None:
    for content in contents:
        body = {"messages": [{"role": "user", "content": content}], "infer": False, **ANN, **values}
        response = await client.post("/v3/memories/add/", json=body)
        assert response.status_code == 200, response.text


async def find(client: httpx.AsyncClient, query: str, **values: object) -> tuple[list[str], bool]:
    """What was found, and whether by meaning."""
    response = await client.post("/v3/memories/search/", json={"query": query, "filters": ANN, **values})
    assert response.status_code == 200, response.text
    answer = response.json()
    return [each["memory"] for each in answer["results"]], answer["by_meaning"]


def searched_by_words() -> float:
    return REGISTRY.get_sample_value("keepsake_searched_by_words_total") or 0.0


@pytest.mark.parametrize(
    ("trouble", "app_of_provider"),
    [(Fails(503), 60), (Fails(401), 60), (Fails(429, retry_after="60"), 60), (Hangs(), 1.5)],
    ids=["down", "key revoked", "rate limit", "slow"],
    indirect=["app_of_provider"],
)
async def test_search_answers_by_words_and_says_so(
    trouble: Behaviour, provider_client: httpx.AsyncClient, model_server: ModelServer
) -> None:
    await add(provider_client, "My sister Ines plays the cello", "The train to Lyon was late")
    assert (await find(provider_client, "cello", threshold=0))[1]
    model_server.embedding(trouble)
    before = searched_by_words()
    assert await find(provider_client, "Who plays the cello?") == (["My sister Ines plays the cello"], False)
    assert await find(provider_client, "Which submarine is yellow?") == ([], False)
    assert searched_by_words() == before + 2


async def test_question_for_a_time_alone_needs_no_provider(
    provider_client: httpx.AsyncClient, model_server: ModelServer
) -> None:
    texts = ["My sister Ines plays the cello", "The train to Lyon was late"]
    await add(provider_client, *texts)
    assert (await find(provider_client, "cello", threshold=0))[1]
    model_server.requests.clear()
    assert await find(provider_client, "What did I say today?", rerank=True) == (texts[::-1], True)
    assert await find(provider_client, "What did I say yesterday?") == ([], True)
    assert model_server.requests == []


async def test_search_by_words_is_not_reranked_and_returns_no_more_than_requested(
    provider_client: httpx.AsyncClient, model_server: ModelServer
) -> None:
    await add(provider_client, "My sister Ines plays the cello", "The cello was left on the train")
    model_server.embedding(Fails(503))
    found, by_meaning = await find(provider_client, "cello", threshold=0, rerank=True, top_k=1)
    assert (len(found), by_meaning) == (1, False)


async def test_memory_added_while_the_provider_is_away_is_found_and_indexed_when_it_is_back(
    provider_client: httpx.AsyncClient, app_of_provider: tuple[Resources, FastAPI], model_server: ModelServer
) -> None:
    resources, _ = app_of_provider
    model_server.embedding(Fails(503))
    await add(provider_client, "My sister Ines plays the cello", metadata={"topic": "music"})
    await add(provider_client, "The cello was left on the train", metadata={"topic": "travel"})
    found = await find(provider_client, "Who plays the cello?")
    assert (sorted(found[0]), found[1]) == (
        ["My sister Ines plays the cello", "The cello was left on the train"],
        False,
    )
    only = {"AND": [ANN, {"metadata": {"topic": "travel"}}]}
    assert await find(provider_client, "Who plays the cello?", filters=only) == (
        ["The cello was left on the train"],
        False,
    )
    await sweep(resources, older_than_seconds=0)
    model_server.embedding(None)
    await sweep(resources, older_than_seconds=0)
    found = await find(provider_client, "Who plays the cello?", threshold=0)
    assert (len(found[0]), found[1]) == (2, True)


async def test_sweep_waits_until_the_provider_is_back(
    provider_client: httpx.AsyncClient, app_of_provider: tuple[Resources, FastAPI], model_server: ModelServer
) -> None:
    resources, _ = app_of_provider
    model_server.embedding(Fails(429, retry_after="60"))
    await add(provider_client, "My sister Ines plays the cello")
    assert await find(provider_client, "cello") == (["My sister Ines plays the cello"], False)
    model_server.requests.clear()
    await sweep(resources, older_than_seconds=0)
    assert model_server.requests == []


async def test_refused_text_keeps_no_other_from_being_indexed(
    provider_client: httpx.AsyncClient, app_of_provider: tuple[Resources, FastAPI], model_server: ModelServer
) -> None:
    """Whatever the batches are: they are made of the texts of all projects."""

    def refuse(sent: Sent) -> Behaviour:
        return Fails(400) if "SENTINEL" in str(sent.body) else Says()

    resources, _ = app_of_provider
    model_server.embedding(Decides(refuse))
    contents = [f"Ines plays song {number}" for number in range(12)]
    contents[5] = "SENTINEL plays no song"
    messages = [{"role": "user", "content": content} for content in contents]
    with capture_logs() as logs:
        await provider_client.post("/v3/memories/add/", json={"messages": messages, "infer": False, **ANN})
        found = await find(provider_client, "song", threshold=0, top_k=20)
    assert (len(found[0]), found[1], await resources.index.count()) == (11, True, 11)
    assert [each["event"] for each in logs if each["event"] != "request"] == ["memory.indexing_failed"]
    assert "SENTINEL" not in str(logs)


async def test_log_of_a_search_by_words_holds_no_content(
    provider_client: httpx.AsyncClient, model_server: ModelServer
) -> None:
    await add(provider_client, "My sister Ines plays the cello")
    assert (await find(provider_client, "cello"))[1]
    model_server.embedding(Fails(500, error={"message": "SENTINEL"}))
    with capture_logs() as logs:
        await find(provider_client, "SENTINEL")
    assert [each["event"] for each in logs if each["log_level"] == "warning"] == ["recall.by_words"]
    assert "SENTINEL" not in str(logs)
