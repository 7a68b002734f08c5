"""Embeddings from OpenAI's API or a compatible one: Azure OpenAI, text-embeddings-inference, LM Studio, vLLM, …"""

from app.adapters.models.embedders.remote import PREFIX, WHO
from app.adapters.models.errors import ModelFailure
from app.adapters.models.openai import RESPONSE_ERRORS, Connection, classify_error, open_client
from app.core.ports import Purpose


class OpenAIEmbeddingClient:
    max_texts = 64
    max_length = 2000
    """In characters: within the 512 tokens of the smallest common models."""
    is_asymmetric = False
    errors: tuple[type[Exception], ...] = RESPONSE_ERRORS

    def __init__(self, connection: Connection, *, model: str, provider: str = "openai") -> None:
        self.name = f"{provider}:{model}"
        self._client = open_client(connection)
        self._model = model

    async def embed(self, texts: list[str], purpose: Purpose) -> list[list[float]]:  # noqa: ARG002  # the API does not distinguish purposes
        response = await self._client.embeddings.create(model=self._model, input=texts, encoding_format="float")
        return [entry.embedding for entry in sorted(response.data or [], key=lambda entry: entry.index)]

    def classify(self, error: Exception) -> ModelFailure:
        return classify_error(error, WHO, PREFIX)

    async def close(self) -> None:
        await self._client.close()
