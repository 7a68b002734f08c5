"""mem0's embedder providers by name: gemini, ollama, huggingface, azure_openai, vertexai, aws_bedrock and the rest."""

import asyncio
import inspect
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Any

from mem0.configs.embeddings.base import BaseEmbedderConfig
from mem0.utils.factory import EmbedderFactory

from app.adapters.models.errors import LATER
from app.adapters.models.text_chunks import cut, join
from app.core.circuit_breaker import unavailable
from app.core.errors import AppError, ConfigurationError, TimedOut, UpstreamFailed
from app.core.ports import Purpose, Vector

ACTIONS = {Purpose.DOCUMENT: "add", Purpose.QUERY: "search"}


class Mem0Embedder:
    """Made with `open_mem0_embedder`. Providers block, so they have threads of their own and a time limit."""

    def __init__(self, name: str, provider: Any, *, longest: int, timeout_seconds: float, threads: int) -> None:
        self.name = name
        self.dimensions = 0
        self._provider = provider
        self._longest = longest
        self._timeout = timeout_seconds
        self._threads = ThreadPoolExecutor(threads, thread_name_prefix="embed")

    async def embed(self, texts: Sequence[str], purpose: Purpose = Purpose.DOCUMENT) -> list[Vector]:
        if not texts:
            return []
        pieces = cut(texts, self._longest)
        vectors = await self._ask(pieces.texts, ACTIONS[purpose])
        if len(vectors) != len(pieces.texts):
            raise UpstreamFailed("The embedding model did not answer with one vector for each text.")
        return join(pieces, vectors)

    async def close(self) -> None:
        self._threads.shutdown(wait=False, cancel_futures=True)

    async def _ask(self, texts: list[str], action: str) -> list[list[float]]:
        loop = asyncio.get_running_loop()
        reply = loop.run_in_executor(self._threads, self._provider.embed_batch, texts, action)
        await asyncio.wait([reply], timeout=self._timeout)
        if not reply.done():
            reply.add_done_callback(lambda late: late.cancelled() or late.exception())
            raise TimedOut("The embedding model took too long.")
        failure = reply.exception()  # of any class: each provider brings its own, and any of them may quote content
        if failure is not None:
            raise unavailable(f"The embedding model failed with {type(failure).__name__}.", LATER)
        return [list(vector) for vector in reply.result()]


async def open_mem0_embedder(
    provider: str,
    *,
    model: str | None = None,
    api_key: str | None = None,
    base_url: str | None = None,
    longest: int = 2000,
    timeout_seconds: float = 60,
    threads: int = 4,
) -> Mem0Embedder:
    """Asks once, to know how many dimensions the model has."""
    made = make_provider(provider, model=model, api_key=api_key, base_url=base_url)
    embedder = Mem0Embedder(
        f"{provider}:{made.config.model}", made, longest=longest, timeout_seconds=timeout_seconds, threads=threads
    )
    try:
        [vector] = await embedder.embed(["How many dimensions has this?"])
    except AppError as error:
        await embedder.close()
        raise ConfigurationError(f"{error.detail} Check EMBEDDER, EMBEDDER_MODEL and EMBEDDER_BASE_URL") from None
    embedder.dimensions = len(vector)
    return embedder


def make_provider(provider: str, *, model: str | None, api_key: str | None, base_url: str | None) -> Any:
    if provider not in EmbedderFactory.provider_to_class:
        known = ", ".join(sorted(["onnx", *EmbedderFactory.provider_to_class]))
        raise ConfigurationError(f"EMBEDDER {provider!r} is not one of: {known}")
    takes = inspect.signature(BaseEmbedderConfig).parameters
    url_name = f"{provider}_base_url" if f"{provider}_base_url" in takes else "openai_base_url"
    given = {"model": model, "api_key": api_key, url_name: base_url}
    try:
        return EmbedderFactory.create(provider, {name: value for name, value in given.items() if value}, None)
    except (ImportError, ValueError, TypeError) as error:
        raise ConfigurationError(f"EMBEDDER {provider!r} cannot be used: {error}") from None
