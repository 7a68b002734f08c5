"""Embeddings from Google's Gemini API, with the package `google-genai`."""

import httpx
from google.genai import Client
from google.genai.errors import APIError
from google.genai.types import Content, EmbedContentConfig, HttpOptions, HttpRetryOptions, Part

from app.adapters.models.embedders.remote import DOCUMENT_SECONDS, PREFIX, WHO
from app.adapters.models.errors import ModelFailure, connection_failure, status_failure, unreadable_response
from app.core.ports import Purpose

DEFAULT_MODEL = "models/gemini-embedding-001"
DIMENSIONS = 768
"""A third of the model's own 3072, with which it finds nearly as much."""


class GeminiEmbeddingClient:
    max_texts = 100
    max_length = 2000
    is_asymmetric = False
    errors: tuple[type[Exception], ...] = (APIError, httpx.TransportError, OSError, ValueError)

    def __init__(self, *, api_key: str | None, model: str | None = None, base_url: str | None = None) -> None:
        self._model = model or DEFAULT_MODEL
        self.name = f"gemini:{self._model}"
        # With a client of ours, because the package would use `aiohttp` where that happens to be installed.
        self._http = httpx.AsyncClient(timeout=httpx.Timeout(DOCUMENT_SECONDS, connect=5))
        options = HttpOptions(
            base_url=base_url, retry_options=HttpRetryOptions(attempts=1), httpx_async_client=self._http
        )
        self._client = Client(api_key=api_key, vertexai=False, http_options=options)

    async def embed(self, texts: list[str], purpose: Purpose) -> list[list[float]]:  # noqa: ARG002  # indexes exist that were built without purposes
        contents = [Content(role="user", parts=[Part(text=text)]) for text in texts]
        response = await self._client.aio.models.embed_content(
            model=self._model, contents=contents, config=EmbedContentConfig(output_dimensionality=DIMENSIONS)
        )
        return [each.values or [] for each in response.embeddings or []]

    def classify(self, error: Exception) -> ModelFailure:
        if isinstance(error, APIError):
            message = f"{error.status} {error.message}"
            # Gemini refuses a wrong key with 400, as it does a request that it cannot read.
            status = 401 if "API key" in message else error.code
            return status_failure(WHO, PREFIX, status, message, getattr(error.response, "headers", None) or {})
        if isinstance(error, httpx.TransportError | OSError):
            return connection_failure(WHO, timed_out=isinstance(error, httpx.TimeoutException))
        return unreadable_response(WHO)

    async def close(self) -> None:
        await self._client.aio.aclose()
        await self._http.aclose()
