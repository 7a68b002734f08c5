"""mem0's other embedder providers, by name: lmstudio, together, vertexai, aws_bedrock, langchain and the rest."""

import inspect
from typing import Any

from mem0.configs.embeddings.base import BaseEmbedderConfig
from mem0.utils.factory import EmbedderFactory

from app.adapters.models.embedders.threads import BlockingEmbeddingClient
from app.core.errors import ConfigurationError

OWN_PROVIDERS = {"onnx", "openai", "azure_openai", "gemini", "ollama", "huggingface"}


def open_mem0_client(
    provider: str, *, model: str | None = None, api_key: str | None = None, base_url: str | None = None
) -> BlockingEmbeddingClient:
    instance = make_provider(provider, model=model, api_key=api_key, base_url=base_url)
    return BlockingEmbeddingClient(f"{provider}:{instance.config.model}", instance.embed_batch)


def make_provider(provider: str, *, model: str | None, api_key: str | None, base_url: str | None) -> Any:
    if provider not in EmbedderFactory.provider_to_class:
        known = ", ".join(sorted({*OWN_PROVIDERS, *EmbedderFactory.provider_to_class}))
        raise ConfigurationError(f"EMBEDDER={provider} is unknown. Choose one of: {known}.")
    parameters = inspect.signature(BaseEmbedderConfig).parameters
    url_name = f"{provider}_base_url" if f"{provider}_base_url" in parameters else "openai_base_url"
    given = {"model": model, "api_key": api_key, url_name: base_url}
    try:
        return EmbedderFactory.create(provider, {name: value for name, value in given.items() if value}, None)
    except (ImportError, ValueError, TypeError) as error:
        raise ConfigurationError(f"EMBEDDER={provider} cannot be used: {error}") from None
