"""Which index, embedder, extractor and language model."""

from contextlib import AsyncExitStack

from pydantic import SecretStr

from app.adapters import openai
from app.adapters.mem0 import Answers, Mem0Answers, Mem0Extractor, OpenAIAnswers
from app.adapters.mem0_embedder import open_mem0_embedder
from app.adapters.offline import OfflineExtractor, OfflineModel
from app.adapters.onnx import OnnxEmbedder
from app.adapters.pgvector import PgVectorIndex
from app.adapters.qdrant import QdrantIndex, connect_qdrant
from app.adapters.qdrant_edge import QdrantEdgeIndex
from app.core.background import Background
from app.core.database import Database
from app.core.errors import ConfigurationError
from app.core.ports import Embedder, Extractor, LanguageModel, VectorIndex
from app.core.resources import Check
from app.memory.indexing import Indexer
from app.settings import Settings, VectorStore


async def open_embedder(settings: Settings, stack: AsyncExitStack) -> Embedder:
    embedder = await choose_embedder(settings)
    stack.push_async_callback(embedder.close)
    return embedder


async def choose_embedder(settings: Settings) -> Embedder:
    if settings.embedder == "onnx":
        return OnnxEmbedder()
    key = secret_of(settings.embedder_api_key) or model_key(settings)
    if settings.embedder != "openai":
        return await open_mem0_embedder(
            settings.embedder, model=settings.embedder_model, api_key=key, base_url=settings.embedder_base_url
        )
    if settings.embedder_model is None:
        raise ConfigurationError("EMBEDDER=openai needs EMBEDDER_MODEL: name a model of that endpoint")
    base_url = settings.embedder_base_url or settings.llm_base_url
    return await openai.open_embedder(openai.Connection(base_url, key), model=settings.embedder_model)


async def open_index(
    settings: Settings, stack: AsyncExitStack, database: Database, embedder: Embedder, *, rebuilding: bool
) -> VectorIndex:
    index = await choose_index(settings, database, embedder)
    stack.push_async_callback(index.close)
    made_by = await index.made_by()
    if made_by not in (None, (embedder.name, embedder.dimensions)) and not rebuilding:
        raise ConfigurationError(
            f"The index was made by {made_by[0] if made_by else ''}, but EMBEDDER now means {embedder.name}:"
            " run `python -m app reindex` with the new settings, or set EMBEDDER back"
        )
    return index


async def choose_index(settings: Settings, database: Database, embedder: Embedder) -> VectorIndex:
    chosen = settings.vector_store or (VectorStore.QDRANT if settings.qdrant_url else VectorStore.EDGE)
    made = (embedder.name, embedder.dimensions)
    if chosen is VectorStore.PGVECTOR:
        return await PgVectorIndex.open(database, *made)
    if chosen is VectorStore.EDGE:
        return await QdrantEdgeIndex.open(settings.data_dir / "index", *made)
    if settings.qdrant_url is None:
        raise ConfigurationError("VECTOR_STORE=qdrant needs QDRANT_URL: set it to your Qdrant's address")
    key = settings.qdrant_api_key.get_secret_value() if settings.qdrant_api_key else None
    client = connect_qdrant(settings.qdrant_url, key)
    return await QdrantIndex.open(client, *made, name=settings.qdrant_collection)


def open_index_queue(stack: AsyncExitStack, database: Database, embedder: Embedder, index: VectorIndex) -> Indexer:
    queue = Indexer(database, embedder, index)
    queue.start()
    stack.push_async_callback(queue.close)
    return queue


def has_model(settings: Settings) -> bool:
    return bool(settings.llm_base_url or model_key(settings) or settings.llm_provider != "openai")


def model_key(settings: Settings) -> str | None:
    return secret_of(settings.llm_api_key) or secret_of(settings.openai_api_key)


def secret_of(value: SecretStr | None) -> str | None:
    return value.get_secret_value() if value else None


def connect_model(settings: Settings) -> openai.OpenAIModel:
    connection = openai.Connection(
        settings.llm_base_url,
        model_key(settings),
        timeout_seconds=settings.llm_timeout_seconds,
        at_once=settings.llm_concurrency,
        waiting=settings.llm_queue,
    )
    return openai.OpenAIModel(connection, model=settings.llm_model)


def open_extractor(settings: Settings, stack: AsyncExitStack) -> Extractor:
    """With connections of its own: jobs must not keep people waiting."""
    extractor: Extractor = Mem0Extractor(choose_answers(settings)) if has_model(settings) else OfflineExtractor()
    stack.push_async_callback(extractor.close)
    return extractor


def choose_answers(settings: Settings) -> Answers:
    if settings.llm_provider == "openai":
        return OpenAIAnswers(connect_model(settings))
    return Mem0Answers(
        settings.llm_provider,
        model=settings.llm_model,
        api_key=model_key(settings),
        base_url=settings.llm_base_url,
        timeout_seconds=settings.llm_timeout_seconds,
    )


def open_model(settings: Settings, stack: AsyncExitStack) -> LanguageModel:
    """Chat speaks OpenAI's API; a provider that mem0 alone knows serves extraction only."""
    speaks_openai = has_model(settings) and (settings.llm_provider == "openai" or settings.llm_base_url)
    model: LanguageModel = connect_model(settings) if speaks_openai else OfflineModel()
    stack.push_async_callback(model.close)
    return model


def model_check(model: LanguageModel) -> dict[str, Check]:
    return {"language_model": model.healthy} if isinstance(model, openai.OpenAIModel) else {}


async def open_background(stack: AsyncExitStack) -> Background:
    background = Background()
    stack.push_async_callback(background.close)
    return background
