"""Opens the index, the embedder, the extractor and the language model.

Adapters for remote servers are imported only if they are configured, because importing their clients takes as long as
importing everything else.
"""

from collections.abc import Awaitable, Callable
from contextlib import AsyncExitStack
from dataclasses import dataclass
from functools import partial

from app.adapters.models.embedders.remote import RemoteEmbedder
from app.adapters.models.multilingual.use import open_multilingual_embedder
from app.adapters.models.offline import OfflineExtractor, OfflineModel
from app.adapters.models.onnx import OnnxEmbedder
from app.adapters.vectors.edge_folder import read_embedder
from app.adapters.vectors.pgvector import PgVectorIndex
from app.adapters.vectors.qdrant_edge import QdrantEdgeIndex
from app.core.background_tasks import Background, SupervisedTask
from app.core.database.database import Database
from app.core.errors import ConfigurationError
from app.core.observability.metrics import EMBEDDING_BREAKER, MODEL_BREAKER
from app.core.ports import (
    MULTILINGUAL,
    Embedder,
    EmbedderChoice,
    EmbedderModel,
    Extractor,
    LanguageModel,
    VectorIndex,
)
from app.core.resources import Check
from app.memory.embedders import EmbedderChoices, EmbedderRouter, IndexRouter
from app.memory.indexing import Indexer
from app.settings import Settings, VectorStore
from app.wiring.secrets import has_model, speaks_openai

MULTILINGUAL_SUFFIX = "_multilingual"
"""Of the folder, collection or name of the second index."""
EDGE_FOLDER = "index"
"""In DATA_DIR."""
GaugeUpdate = Callable[[], Awaitable[None]]


async def open_embedder(settings: Settings, stack: AsyncExitStack) -> Embedder:
    embedder = await choose_embedder(settings)
    stack.push_async_callback(embedder.close)
    return embedder


async def choose_embedder(settings: Settings) -> Embedder:
    if settings.embedder == "onnx":
        return OnnxEmbedder()
    from app.wiring import embedders  # noqa: PLC0415

    return await embedders.connect_embedder(settings)


def watch_embedder(embedder: Embedder, checks: dict[str, Check], gauges: list[GaugeUpdate]) -> None:
    """Add the health check and the gauge of an embedder that may be away."""
    if not isinstance(embedder, RemoteEmbedder):
        return

    async def update_gauge() -> None:
        EMBEDDING_BREAKER.state(embedder.breaker_state)

    checks["embedding_model"] = embedder.healthy
    gauges.append(update_gauge)


async def open_index(
    settings: Settings, stack: AsyncExitStack, database: Database, embedder: Embedder, *, rebuilding: bool
) -> VectorIndex:
    index = await choose_index(settings, database, embedder)
    stack.push_async_callback(index.close)
    built_with, current = await index.built_with(), (embedder.name, embedder.dimensions)
    if built_with is not None and built_with != current and not rebuilding:
        raise ConfigurationError(
            f"The index was built with {describe_embedder(*built_with)}, but EMBEDDER is now"
            f" {describe_embedder(*current)}."
            " Run `python -m app reindex` with the new settings, or restore EMBEDDER."
        )
    return index


async def require_embedder_of_server(settings: Settings) -> None:
    """A server that holds the embedded index rebuilds it with the embedder that the server was started with."""
    used = read_embedder(settings.data_dir / EDGE_FOLDER)
    async with AsyncExitStack() as stack:
        embedder = await open_embedder(settings, stack)
    current = (embedder.name, embedder.dimensions)
    if used is not None and used != current:
        raise ConfigurationError(
            f"The running server embeds with {describe_embedder(*used)}, but EMBEDDER is now"
            f" {describe_embedder(*current)}. Stop the server, run `python -m app reindex` again, and start the"
            " server with the new settings."
        )


def describe_embedder(name: str, dimensions: int) -> str:
    return f"{name} ({dimensions} dimensions)"


def choose_vector_store(settings: Settings) -> VectorStore:
    return settings.vector_store or (VectorStore.QDRANT if settings.qdrant_url else VectorStore.EDGE)


async def choose_index(
    settings: Settings, database: Database, embedder: EmbedderModel, *, suffix: str = ""
) -> VectorIndex:
    """With a suffix, an index beside the default one."""
    chosen = choose_vector_store(settings)
    if chosen is VectorStore.PGVECTOR:
        return await PgVectorIndex.open(database, embedder.name, embedder.dimensions, name=f"default{suffix}")
    if chosen is VectorStore.EDGE:
        return await QdrantEdgeIndex.open(
            settings.data_dir / f"{EDGE_FOLDER}{suffix}", embedder.name, embedder.dimensions
        )
    from app.wiring import vector_servers  # noqa: PLC0415

    return await vector_servers.connect_index(with_suffix(settings, suffix), chosen, database, embedder)


def with_suffix(settings: Settings, suffix: str) -> Settings:
    """Every store names its collection in a setting."""
    names = [each for each in Settings.model_fields if each.endswith("_collection")]
    return settings.model_copy(update={each: getattr(settings, each) + suffix for each in names})


async def open_indexes(
    settings: Settings, stack: AsyncExitStack, database: Database, embedder: Embedder, *, rebuilding: bool
) -> "Indexes":
    """The multilingual embedder and its index are opened only if a project uses them."""
    index = await open_index(settings, stack, database, embedder, rebuilding=rebuilding)
    choices = EmbedderChoices(database)
    open_second = partial(choose_index, settings, database, MULTILINGUAL, suffix=MULTILINGUAL_SUFFIX)
    embedders = EmbedderRouter(embedder, choices, open_multilingual_embedder)
    indexes = IndexRouter(index, embedders, choices, open_second)
    stack.push_async_callback(embedders.close_multilingual)
    stack.push_async_callback(indexes.close_multilingual)
    await choices.refresh()
    await indexes.indexes()
    if choices.has_multilingual_projects:
        await embedders.open(EmbedderChoice.MULTILINGUAL)
    choices.task.start()
    stack.push_async_callback(choices.task.stop)
    queue = Indexer(database, embedders, indexes, choices=choices)
    queue.start()
    stack.push_async_callback(queue.close)
    return Indexes(embedders, indexes, queue, [queue.worker, choices.task])


@dataclass(frozen=True, slots=True)
class Indexes:
    embedder: EmbedderRouter
    index: IndexRouter
    queue: Indexer
    tasks: list[SupervisedTask]


Models = tuple[LanguageModel, Extractor, dict[str, Check], list[GaugeUpdate]]


def open_models(settings: Settings, stack: AsyncExitStack, embedder: Embedder) -> Models:
    """The language model, the extractor, and the health checks and gauges of both models."""
    llm, extractor, checks, gauges = open_language_models(settings, stack)
    watch_embedder(embedder, checks, gauges)
    return llm, extractor, checks, gauges


def open_language_models(settings: Settings, stack: AsyncExitStack) -> Models:
    if not has_model(settings):
        return OfflineModel(), OfflineExtractor(), {}, []
    from app.wiring import remote  # noqa: PLC0415

    extractor = remote.connect_extractor(settings)
    stack.push_async_callback(extractor.close)
    if not speaks_openai(settings):
        return OfflineModel(), extractor, {}, []
    model = remote.connect_model(settings)
    stack.push_async_callback(model.close)

    async def update_gauge() -> None:
        MODEL_BREAKER.state(model.breaker_state)

    return model, extractor, {"language_model": model.healthy}, [update_gauge]


async def open_background(stack: AsyncExitStack) -> Background:
    background = Background()
    stack.push_async_callback(background.close)
    return background
