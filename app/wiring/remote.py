"""Connects to remote language models: behind OpenAI's API or mem0's providers."""

from app.adapters.models import openai
from app.adapters.models.mem0 import ExtractionModel, Mem0ExtractionModel, Mem0Extractor, OpenAIExtractionModel
from app.settings import Settings
from app.wiring.providers import OPENAI_COMPATIBLE, check_language_model, compatible_url
from app.wiring.secrets import model_key


def connect_model(settings: Settings) -> openai.OpenAIModel:
    check_language_model(settings)
    connection = openai.Connection(
        compatible_url("LLM", settings.llm_provider, settings.llm_base_url),
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
    if settings.llm_provider in OPENAI_COMPATIBLE:
        return OpenAIExtractionModel(connect_model(settings))
    return Mem0ExtractionModel(
        settings.llm_provider,
        model=settings.llm_model,
        api_key=model_key(settings),
        base_url=settings.llm_base_url,
        timeout_seconds=settings.llm_timeout_seconds,
    )
