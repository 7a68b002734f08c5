"""/v1/models and /v1/embeddings."""

import base64
from array import array
from typing import Any

from fastapi import APIRouter

from app.chat.prompt import estimate_tokens
from app.core.errors import BadRequest, NotFound
from app.core.ports import Vector
from app.core.resources import Resources, ResourcesDep
from app.gateways.openai.schemas import (
    MAX_INPUTS,
    EmbeddingList,
    EmbeddingRead,
    EmbeddingRequest,
    EmbeddingUsage,
    ModelList,
    ModelRead,
)
from app.identity.caller import CallerDep, MemoryReader

router = APIRouter(tags=["OpenAI"])
EMBEDDED_AT_ONCE = 32
"""Between two batches, other projects have their turn."""


@router.get("/v1/models")
async def list_models(_: CallerDep, resources: ResourcesDep) -> ModelList:
    """Lists the models that a request may name: for chat completions, and the one that embeds texts."""
    return ModelList(data=[ModelRead(id=name) for name in model_names(resources)])


@router.get("/v1/models/{model:some_path}")
async def get_model(model: str, _: CallerDep, resources: ResourcesDep) -> ModelRead:
    """Returns one model."""
    if model not in model_names(resources):
        raise NotFound(f"There is no model {model[:200]}. See GET /v1/models.", code="model_not_found")
    return ModelRead(id=model)


def model_names(resources: Resources) -> list[str]:
    config = resources.config
    chat = {resources.llm.name, *(config.allowed_models or ())} if config.has_model else {resources.llm.name}
    return [*sorted(filter(None, chat)), resources.embedder.name]


@router.post("/v1/embeddings")
async def create_embeddings(body: EmbeddingRequest, caller: MemoryReader, resources: ResourcesDep) -> EmbeddingList:
    """Returns the vectors of texts, from the model that this server finds memories with.

    `model` may be any name: the response says which model was used, and how many dimensions it has is fixed."""
    texts = check_inputs(body.input)
    dimensions = resources.embedder.dimensions
    if body.dimensions not in (None, dimensions):
        raise BadRequest(f"`dimensions` must be {dimensions} with this server's model. Leave it out.")
    vectors: list[Vector] = []
    for start in range(0, len(texts), EMBEDDED_AT_ONCE):
        batch = texts[start : start + EMBEDDED_AT_ONCE]
        vectors += await resources.embedder.embed(batch, tenant=caller.project_id)
    as_base64 = body.encoding_format == "base64"
    tokens = sum(map(estimate_tokens, texts))
    return EmbeddingList(
        data=[
            EmbeddingRead(index=index, embedding=encode(each) if as_base64 else list(map(float, each)))
            for index, each in enumerate(vectors)
        ],
        model=resources.embedder.name,
        usage=EmbeddingUsage(prompt_tokens=tokens, total_tokens=tokens),
    )


def check_inputs(given: str | list[Any]) -> list[str]:
    texts = [given] if isinstance(given, str) else given
    if not 1 <= len(texts) <= MAX_INPUTS:
        raise BadRequest(f"`input` must be one text, or a list of 1 to {MAX_INPUTS} texts.")
    if not all(isinstance(text, str) and text for text in texts):
        raise BadRequest("`input` must contain texts that are not empty. Send texts instead of the numbers of tokens.")
    return texts


def encode(vector: Vector) -> str:
    """Floats of 32 bits, little-endian, which is what clients decode by default."""
    numbers = array("f", vector)
    return base64.b64encode(numbers.tobytes()).decode()
