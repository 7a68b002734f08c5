"""Embeddings from a model behind OpenAI's API or a compatible one."""

import asyncio
from collections.abc import Sequence
from uuid import UUID

import httpx2

from app.adapters.models.openai import Connection, Endpoint
from app.adapters.models.text_chunks import average_vectors, split_texts
from app.core.errors import AppError, ConfigurationError, UpstreamFailed
from app.core.fair_queue import TenantLimit
from app.core.ports import Purpose, Vector

TENANT_CALLS = 8
"""How many calls of one project may be in progress, so that others find a free connection."""


class OpenAIEmbedder:
    """Created by `open_embedder`, which determines the dimensions of the model."""

    BATCH = 64

    def __init__(self, endpoint: Endpoint, model: str, dimensions: int, max_length: int) -> None:
        self.name = f"openai:{model}"
        self.dimensions = dimensions
        self._endpoint = endpoint
        self._model = model
        self._max_length = max_length
        self._tenants = TenantLimit(TENANT_CALLS)

    async def embed(
        self,
        texts: Sequence[str],
        purpose: Purpose = Purpose.DOCUMENT,  # noqa: ARG002  # the API does not distinguish purposes
        *,
        tenant: UUID | None = None,
    ) -> list[Vector]:
        split = split_texts(texts, self._max_length)
        starts = range(0, len(split.texts), self.BATCH)
        async with self._tenants.enter(tenant):
            batches = [embed_batch(self._endpoint, self._model, split.texts[at : at + self.BATCH]) for at in starts]
            vectors = [vector for batch in await asyncio.gather(*batches) for vector in batch]
        return average_vectors(split, vectors)

    async def close(self) -> None:
        await self._endpoint.client.close()


async def open_embedder(
    connection: Connection, *, model: str, max_length: int = 2000, http: httpx2.AsyncClient | None = None
) -> OpenAIEmbedder:
    """`max_length` is in characters: 2,000 are within the 512 tokens of the smallest common models."""
    endpoint = Endpoint("The embedding model", "EMBEDDER", connection, http)
    try:
        [vector] = await embed_batch(endpoint, model, ["How many dimensions has this?"])
    except AppError as error:
        await endpoint.client.close()
        raise ConfigurationError(
            f"{error.detail} Check EMBEDDER_BASE_URL, EMBEDDER_MODEL and EMBEDDER_API_KEY."
        ) from None
    return OpenAIEmbedder(endpoint, model, len(vector), max_length)


async def embed_batch(endpoint: Endpoint, model: str, texts: list[str]) -> list[list[float]]:
    deadline = endpoint.deadline()
    async with endpoint.limit.enter():
        response = await endpoint.call(
            lambda: endpoint.client.embeddings.create(model=model, input=texts, encoding_format="float"),
            deadline=deadline,
        )
    entries = sorted(response.data or [], key=lambda entry: entry.index)
    if len(entries) != len(texts):
        raise UpstreamFailed("The embedding model did not return one vector for each text.")
    return [entry.embedding for entry in entries]
