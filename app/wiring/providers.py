"""Providers that have an endpoint with OpenAI's API, which is used for chat, extraction and everything else."""

from urllib.parse import urlsplit

from app.core.errors import ConfigurationError
from app.settings import Settings

OPENAI_COMPATIBLE: dict[str, str | None] = {
    "openai": None,
    "gemini": "https://generativelanguage.googleapis.com/v1beta/openai",
    "ollama": "http://localhost:11434/v1",
    "huggingface": "https://router.huggingface.co/v1",
    "azure_openai": None,
}
"""The endpoint of each, if it is the same for everybody."""
PATHS = {"azure_openai": "/openai/v1", "ollama": "/v1", "huggingface": "/v1"}
"""Where that API is on the provider's server, if the address names only the server."""
EXAMPLES = {"azure_openai": "https://YOUR-RESOURCE.openai.azure.com"}
NEED_KEY = frozenset({"gemini", "azure_openai", "huggingface"})
NEED_MODEL = frozenset({"gemini", "ollama", "huggingface"})
"""The default of LLM_MODEL is a model of OpenAI. A deployment on Azure may have its name."""


def compatible_url(prefix: str, provider: str, base_url: str | None) -> str | None:
    """`prefix` is that of the settings: LLM or EMBEDDER. None is OpenAI's own endpoint."""
    if base_url is None and provider in EXAMPLES:
        name = "LLM_PROVIDER" if prefix == "LLM" else "EMBEDDER"
        raise ConfigurationError(f"{name}={provider} needs {prefix}_BASE_URL. Set it to {EXAMPLES[provider]}.")
    if base_url is None:
        return OPENAI_COMPATIBLE.get(provider)
    return base_url if urlsplit(base_url).path.strip("/") else f"{base_url}{PATHS.get(provider, '')}"


def check_language_model(settings: Settings) -> None:
    """What a provider needs stops the start, instead of failing with the first request."""
    provider = settings.llm_provider
    is_own_server = provider == "huggingface" and settings.llm_base_url is not None
    if provider in NEED_KEY and not is_own_server and not (settings.llm_api_key or settings.openai_api_key):
        raise ConfigurationError(f"LLM_PROVIDER={provider} needs LLM_API_KEY. Set it to a key of that provider.")
    if provider in NEED_MODEL and settings.llm_model == Settings.model_fields["llm_model"].default:
        raise ConfigurationError(f"LLM_PROVIDER={provider} needs LLM_MODEL. Name a model of that provider.")
