"""How OpenAI, Gemini and Ollama ask for embeddings and answer: for the model server."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

Body = dict[str, Any]


@dataclass(frozen=True, slots=True)
class EmbeddingRequest:
    texts: list[str]
    model: str
    key: str | None


class OpenAIFormat:
    path = "/v1/embeddings"

    def read(self, path: str, headers: dict[str, str], body: Body) -> EmbeddingRequest:
        texts = [body["input"]] if isinstance(body["input"], str) else body["input"]
        return EmbeddingRequest(texts, body["model"], bearer(headers))

    def answer(self, vectors: Sequence[Sequence[float]]) -> Body:
        data = [{"object": "embedding", "index": place, "embedding": each} for place, each in enumerate(vectors)]
        usage = {"prompt_tokens": len(vectors), "total_tokens": len(vectors)}
        return {"object": "list", "model": "any", "data": data, "usage": usage}

    def error(self, status: int, error: Body) -> tuple[int, Body]:
        return status, {"error": error}


class GeminiFormat:
    path = ":batchEmbedContents"

    def read(self, path: str, headers: dict[str, str], body: Body) -> EmbeddingRequest:
        requests = body["requests"]
        texts = [request["content"]["parts"][0]["text"] for request in requests]
        model = path.rpartition("/")[2].removesuffix(self.path)
        assert {request["model"] for request in requests} == {f"models/{model}"}
        return EmbeddingRequest(texts, model, headers.get("x-goog-api-key"))

    def answer(self, vectors: Sequence[Sequence[float]]) -> Body:
        return {"embeddings": [{"values": list(each)} for each in vectors]}

    def error(self, status: int, error: Body) -> tuple[int, Body]:
        """A wrong key is refused with 400."""
        if status == 401:
            message = "API key not valid. Please pass a valid API key."
            return 400, {"error": {"code": 400, "message": message, "status": "INVALID_ARGUMENT"}}
        return status, {"error": {"code": status, "message": error["message"], "status": "UNKNOWN"}}


class OllamaFormat:
    path = "/api/embed"

    def read(self, path: str, headers: dict[str, str], body: Body) -> EmbeddingRequest:
        return EmbeddingRequest(list(body["input"]), body["model"], bearer(headers))

    def answer(self, vectors: Sequence[Sequence[float]]) -> Body:
        return {"model": "any", "embeddings": [list(each) for each in vectors], "total_duration": 1}

    def error(self, status: int, error: Body) -> tuple[int, Body]:
        return status, {"error": error["message"]}


EmbeddingFormat = OpenAIFormat | GeminiFormat | OllamaFormat
FORMATS: tuple[EmbeddingFormat, ...] = (OpenAIFormat(), GeminiFormat(), OllamaFormat())


def format_of(path: str) -> EmbeddingFormat | None:
    return next((each for each in FORMATS if path.endswith(each.path)), None)


def bearer(headers: dict[str, str]) -> str | None:
    return headers.get("authorization", "").removeprefix("Bearer ") or None
