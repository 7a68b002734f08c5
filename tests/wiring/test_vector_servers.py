"""A vector store that cannot be used stops the start with a sentence that says what to do."""

import sys

import pytest

from app.core.errors import ConfigurationError
from app.core.resources import Resources
from app.settings import Settings, VectorStore
from app.wiring.vector_servers import connect_index


@pytest.mark.parametrize("store", [VectorStore.QDRANT, VectorStore.MILVUS, VectorStore.CHROMA])
async def test_store_without_an_address_is_refused(store: VectorStore, resources: Resources) -> None:
    with pytest.raises(ConfigurationError, match=f"^VECTOR_STORE={store} needs {store.upper()}_URL"):
        await connect_index(Settings(_env_file=None, vector_store=store), store, resources.database, resources.embedder)


@pytest.mark.parametrize(("store", "package"), [(VectorStore.MILVUS, "pymilvus"), (VectorStore.CHROMA, "chromadb")])
async def test_missing_package_is_named_with_the_command_that_installs_it(
    monkeypatch: pytest.MonkeyPatch, resources: Resources, store: VectorStore, package: str
) -> None:
    imported = [each for each in sys.modules if each.split(".")[0] == package]
    for each in [*imported, f"app.adapters.vectors.{store}"]:
        monkeypatch.delitem(sys.modules, each, raising=False)
    monkeypatch.setitem(sys.modules, package, None)
    settings = Settings(_env_file=None, vector_store=store, **{f"{store}_url": "http://127.0.0.1:9"})
    with pytest.raises(ConfigurationError, match=rf"pip install -r deploy/requirements/{store}\.txt"):
        await connect_index(settings, store, resources.database, resources.embedder)
