"""Embeddings from an Ollama server, with the package `ollama`."""

import httpx
from ollama import AsyncClient, ResponseError

from app.adapters.models.embedders.remote import PREFIX, WHO
from app.adapters.models.errors import ModelFailure, connection_failure, status_failure, unreadable_response
from app.core.ports import Purpose

DEFAULT_MODEL = "nomic-embed-text"
DEFAULT_URL = "http://localhost:11434"


class OllamaEmbeddingClient:
    """Does not download a model that the server does not have: `ollama pull` is for the operator to run."""

    max_texts = 64
    max_length = 2000
    is_asymmetric = False
    errors: tuple[type[Exception], ...] = (ResponseError, httpx.TransportError, OSError, ValueError)

    def __init__(self, *, model: str | None = None, base_url: str | None = None, api_key: str | None = None) -> None:
        self._model = model or DEFAULT_MODEL
        self.name = f"ollama:{self._model}"
        headers = {"Authorization": f"Bearer {api_key}"} if api_key else None
        host = (base_url or DEFAULT_URL).removesuffix("/v1")
        self._client = AsyncClient(host=host, headers=headers)

    async def embed(self, texts: list[str], purpose: Purpose) -> list[list[float]]:  # noqa: ARG002  # the API does not distinguish purposes
        response = await self._client.embed(model=self._model, input=texts)
        return [list(vector) for vector in response.embeddings]

    def classify(self, error: Exception) -> ModelFailure:
        if isinstance(error, ResponseError):
            return status_failure(WHO, PREFIX, error.status_code, error.error, {})
        if isinstance(error, httpx.TransportError | OSError):
            return connection_failure(WHO, timed_out=isinstance(error, httpx.TimeoutException))
        return unreadable_response(WHO)

    async def close(self) -> None:
        await self._client.close()  # type: ignore[no-untyped-call]
