"""Connects to vector stores that are servers of their own. Their clients are imported only if they are configured."""

import importlib
from types import ModuleType

from app.adapters.vectors.split_index import SplitIndex
from app.core.database.database import Database
from app.core.errors import ConfigurationError
from app.core.ports import EmbedderModel, VectorIndex
from app.settings import Settings, VectorStore
from app.wiring.extras import missing_package
from app.wiring.secrets import secret_of


async def connect_index(
    settings: Settings, store: VectorStore, database: Database, embedder: EmbedderModel
) -> VectorIndex:
    if store is VectorStore.CHROMA:
        return await connect_chroma_index(settings, database, embedder)
    if store is VectorStore.MILVUS:
        return await connect_milvus_index(settings, database, embedder)
    return await connect_qdrant_index(settings, embedder)


async def connect_qdrant_index(settings: Settings, embedder: EmbedderModel) -> VectorIndex:
    from app.adapters.vectors.qdrant import QdrantIndex, connect_qdrant  # noqa: PLC0415

    url = require_address(settings.qdrant_url, VectorStore.QDRANT)
    client = connect_qdrant(url, secret_of(settings.qdrant_api_key))
    return await QdrantIndex.open(client, embedder.name, embedder.dimensions, name=settings.qdrant_collection)


async def connect_chroma_index(settings: Settings, database: Database, embedder: EmbedderModel) -> VectorIndex:
    url = require_address(settings.chroma_url, VectorStore.CHROMA)
    chroma = import_adapter("app.adapters.vectors.chroma", VectorStore.CHROMA, package="chromadb")
    client = await chroma.connect_chroma(
        url, secret_of(settings.chroma_token), tenant=settings.chroma_tenant, database=settings.chroma_database
    )
    return await SplitIndex.open(
        client,
        database,
        embedder.name,
        embedder.dimensions,
        store=VectorStore.CHROMA,
        name=settings.chroma_collection,
    )


async def connect_milvus_index(settings: Settings, database: Database, embedder: EmbedderModel) -> VectorIndex:
    url = require_address(settings.milvus_url, VectorStore.MILVUS)
    milvus = import_adapter("app.adapters.vectors.milvus", VectorStore.MILVUS, package="pymilvus")
    client = await milvus.connect_milvus(url, secret_of(settings.milvus_token), database=settings.milvus_database)
    return await SplitIndex.open(
        client,
        database,
        embedder.name,
        embedder.dimensions,
        store=VectorStore.MILVUS,
        name=settings.milvus_collection,
    )


def require_address(url: str | None, store: VectorStore) -> str:
    if url is None:
        name, server = f"{store.upper()}_URL", store.capitalize()
        raise ConfigurationError(f"VECTOR_STORE={store} needs {name}. Set it to the address of your {server} server.")
    return url


def import_adapter(module: str, store: VectorStore, *, package: str) -> ModuleType:
    """The adapter of a store whose package is an extra."""
    try:
        return importlib.import_module(module)
    except ModuleNotFoundError as error:
        if (error.name or "").split(".")[0] != package:
            raise
        raise missing_package("VECTOR_STORE", store, package) from None
