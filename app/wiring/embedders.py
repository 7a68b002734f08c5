"""Connects to the provider that embeds. Packages are imported only for the provider that needs them."""

from collections.abc import Callable

from app.adapters.models.embedders.openai import OpenAIEmbeddingClient
from app.adapters.models.embedders.remote import (
    DEFAULT_LIMITS,
    EmbedderLimits,
    EmbeddingClient,
    KnownDimensions,
    RemoteEmbedder,
    open_remote_embedder,
)
from app.adapters.models.openai import Connection
from app.core.errors import ConfigurationError
from app.settings import Settings
from app.wiring.extras import missing_package
from app.wiring.providers import compatible_url
from app.wiring.secrets import model_key, secret_of

KNOWN_DIMENSIONS = "embedding-dimensions.json"
"""In DATA_DIR."""


async def connect_embedder(settings: Settings, limits: EmbedderLimits = DEFAULT_LIMITS) -> RemoteEmbedder:
    client = open_client(settings)
    return await open_remote_embedder(client, KnownDimensions(settings.data_dir / KNOWN_DIMENSIONS), limits)


def open_client(settings: Settings) -> EmbeddingClient:
    provider, key = settings.embedder, secret_of(settings.embedder_api_key) or model_key(settings)
    model, base_url = settings.embedder_model, settings.embedder_base_url
    if provider in ("openai", "azure_openai") or (provider == "huggingface" and base_url):
        return open_compatible(settings, key)
    if provider in EXTRAS:
        return import_package(provider, settings, key)
    from app.adapters.models.embedders.mem0 import open_mem0_client  # noqa: PLC0415

    return open_mem0_client(provider, model=model, api_key=key, base_url=base_url)


def open_compatible(settings: Settings, key: str | None) -> EmbeddingClient:
    """A server of Hugging Face's text-embeddings-inference has one model, whose name does not matter."""
    provider = settings.embedder
    model = settings.embedder_model or ("tei" if provider == "huggingface" else None)
    if model is None:
        raise ConfigurationError(f"EMBEDDER={provider} needs EMBEDDER_MODEL. Name a model of that endpoint.")
    shared_url = settings.llm_base_url if provider in ("openai", settings.llm_provider) else None
    base_url = settings.embedder_base_url or shared_url
    url = compatible_url("EMBEDDER", provider, base_url)
    return OpenAIEmbeddingClient(Connection(url, key), model=model, provider=provider)


def open_gemini(settings: Settings, key: str | None) -> EmbeddingClient:
    from app.adapters.models.embedders.gemini import GeminiEmbeddingClient  # noqa: PLC0415

    if key is None:
        raise ConfigurationError("EMBEDDER=gemini needs EMBEDDER_API_KEY. Set it to a key of Google AI Studio.")
    return GeminiEmbeddingClient(api_key=key, model=settings.embedder_model, base_url=settings.embedder_base_url)


def open_ollama(settings: Settings, _: str | None) -> EmbeddingClient:
    """Most Ollama servers take no key, so the key of the language model is not sent to them."""
    from app.adapters.models.embedders.ollama import OllamaEmbeddingClient  # noqa: PLC0415

    key = secret_of(settings.embedder_api_key)
    return OllamaEmbeddingClient(model=settings.embedder_model, base_url=settings.embedder_base_url, api_key=key)


def open_huggingface(settings: Settings, _: str | None) -> EmbeddingClient:
    from app.adapters.models.embedders.huggingface import open_sentence_transformer  # noqa: PLC0415

    return open_sentence_transformer(settings.embedder_model)


EXTRAS: dict[str, tuple[str, Callable[[Settings, str | None], EmbeddingClient]]] = {
    "gemini": ("google-genai", open_gemini),
    "ollama": ("ollama", open_ollama),
    "huggingface": ("sentence-transformers", open_huggingface),
}
"""The package of each extra, and the function that imports it."""


def import_package(extra: str, settings: Settings, key: str | None) -> EmbeddingClient:
    package, open_with_package = EXTRAS[extra]
    try:
        return open_with_package(settings, key)
    except ImportError:
        raise missing_package("EMBEDDER", extra, package) from None
