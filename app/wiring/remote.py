"""Connects to remote models: behind OpenAI's API or mem0's providers."""

from app.adapters.models import openai, openai_embedder
from app.adapters.models.mem0 import ExtractionModel, Mem0ExtractionModel, Mem0Extractor, OpenAIExtractionModel
from app.adapters.models.mem0_embedder import open_mem0_embedder
from app.core.errors import ConfigurationError
from app.core.ports import Embedder
from app.settings import Settings
from app.wiring.secrets import model_key, secret_of


def connect_model(settings: Settings) -> openai.OpenAIModel:
    connection = openai.Connection(
        settings.llm_base_url,
        model_key(settings),
        timeout_seconds=settings.llm_timeout_seconds,
        at_once=settings.llm_concurrency,
        waiting=settings.llm_queue,
    )
    return openai.OpenAIModel(connection, model=settings.llm_model)


def connect_extractor(settings: Settings) -> Mem0Extractor:
    """Uses connections of its own, so that jobs do not delay the chat."""
    return Mem0Extractor(choose_extraction_model(settings))


def choose_extraction_model(settings: Settings) -> ExtractionModel:
    if settings.llm_provider == "openai":
        return OpenAIExtractionModel(connect_model(settings))
    return Mem0ExtractionModel(
        settings.llm_provider,
        model=settings.llm_model,
        api_key=model_key(settings),
        base_url=settings.llm_base_url,
        timeout_seconds=settings.llm_timeout_seconds,
    )


async def connect_embedder(settings: Settings) -> Embedder:
    key = secret_of(settings.embedder_api_key) or model_key(settings)
    if settings.embedder != "openai":
        return await open_mem0_embedder(
            settings.embedder, model=settings.embedder_model, api_key=key, base_url=settings.embedder_base_url
        )
    if settings.embedder_model is None:
        raise ConfigurationError("EMBEDDER=openai needs EMBEDDER_MODEL. Name a model of that endpoint.")
    base_url = settings.embedder_base_url or settings.llm_base_url
    return await openai_embedder.open_embedder(openai.Connection(base_url, key), model=settings.embedder_model)
