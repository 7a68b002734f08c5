"""Reads secrets and the choice of language model from the settings."""

from pydantic import SecretStr

from app.settings import Settings
from app.wiring.providers import OPENAI_COMPATIBLE


def has_model(settings: Settings) -> bool:
    return bool(settings.llm_base_url or model_key(settings) or settings.llm_provider != "openai")


def model_key(settings: Settings) -> str | None:
    return secret_of(settings.llm_api_key) or secret_of(settings.openai_api_key)


def secret_of(value: SecretStr | None) -> str | None:
    return value.get_secret_value() if value else None


def speaks_openai(settings: Settings) -> bool:
    """Chat uses OpenAI's API. Providers that only mem0 supports are used for extraction alone."""
    return settings.llm_provider in OPENAI_COMPATIBLE or settings.llm_base_url is not None
