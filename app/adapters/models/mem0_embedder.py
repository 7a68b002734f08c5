"""mem0's embedder providers by name: gemini, ollama, huggingface, azure_openai, vertexai, aws_bedrock and the rest."""

import asyncio
import inspect
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Any
from uuid import UUID

from mem0.configs.embeddings.base import BaseEmbedderConfig
from mem0.utils.factory import EmbedderFactory

from app.adapters.models.errors import DEFAULT_RETRY_SECONDS
from app.adapters.models.text_chunks import average_vectors, split_texts
from app.core.circuit_breaker import unavailable
from app.core.errors import AppError, ConfigurationError, TimedOut, UpstreamFailed
from app.core.fair_queue import TenantLimit
from app.core.ports import Purpose, Vector

ACTIONS = {Purpose.DOCUMENT: "add", Purpose.QUERY: "search"}


class Mem0Embedder:
    """Created by `open_mem0_embedder`. Providers block, so they run in their own threads with a time limit."""

    def __init__(self, name: str, provider: Any, *, max_length: int, timeout_seconds: float, threads: int) -> None:
        self.name = name
        self.dimensions = 0
        self._provider = provider
        self._max_length = max_length
        self._timeout = timeout_seconds
        self._tenants = TenantLimit(max(1, threads // 2))
        self._threads = ThreadPoolExecutor(threads, thread_name_prefix="embed")

    async def embed(
        self, texts: Sequence[str], purpose: Purpose = Purpose.DOCUMENT, *, tenant: UUID | None = None
    ) -> list[Vector]:
        if not texts:
            return []
        split = split_texts(texts, self._max_length)
        async with self._tenants.enter(tenant):
            vectors = await self._call_provider(split.texts, ACTIONS[purpose])
        if len(vectors) != len(split.texts):
            raise UpstreamFailed("The embedding model did not return one vector for each text.")
        return average_vectors(split, vectors)

    async def close(self) -> None:
        self._threads.shutdown(wait=False, cancel_futures=True)

    async def _call_provider(self, texts: list[str], action: str) -> list[list[float]]:
        loop = asyncio.get_running_loop()
        call = loop.run_in_executor(self._threads, self._provider.embed_batch, texts, action)
        await asyncio.wait([call], timeout=self._timeout)
        if not call.done():
            call.add_done_callback(lambda done: done.cancelled() or done.exception())
            raise TimedOut("The embedding model took too long.")
        failure = call.exception()  # each provider raises its own classes, and their messages may quote content
        if failure is not None:
            raise unavailable(f"The embedding model failed with {type(failure).__name__}.", DEFAULT_RETRY_SECONDS)
        return [list(vector) for vector in call.result()]


async def open_mem0_embedder(
    provider: str,
    *,
    model: str | None = None,
    api_key: str | None = None,
    base_url: str | None = None,
    max_length: int = 2000,
    timeout_seconds: float = 60,
    threads: int = 4,
) -> Mem0Embedder:
    """Embeds one text to learn the dimensions of the model."""
    instance = make_provider(provider, model=model, api_key=api_key, base_url=base_url)
    embedder = Mem0Embedder(
        f"{provider}:{instance.config.model}",
        instance,
        max_length=max_length,
        timeout_seconds=timeout_seconds,
        threads=threads,
    )
    try:
        [vector] = await embedder.embed(["How many dimensions has this?"])
    except AppError as error:
        await embedder.close()
        raise ConfigurationError(f"{error.detail} Check EMBEDDER, EMBEDDER_MODEL and EMBEDDER_BASE_URL.") from None
    embedder.dimensions = len(vector)
    return embedder


def make_provider(provider: str, *, model: str | None, api_key: str | None, base_url: str | None) -> Any:
    if provider not in EmbedderFactory.provider_to_class:
        known = ", ".join(sorted(["onnx", *EmbedderFactory.provider_to_class]))
        raise ConfigurationError(f"EMBEDDER={provider} is unknown. Choose one of: {known}.")
    parameters = inspect.signature(BaseEmbedderConfig).parameters
    url_name = f"{provider}_base_url" if f"{provider}_base_url" in parameters else "openai_base_url"
    given = {"model": model, "api_key": api_key, url_name: base_url}
    try:
        return EmbedderFactory.create(provider, {name: value for name, value in given.items() if value}, None)
    except (ImportError, ValueError, TypeError) as error:
        raise ConfigurationError(f"EMBEDDER={provider} cannot be used: {error}") from None
