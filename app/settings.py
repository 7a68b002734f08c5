"""Every environment variable, with its default and what it means. `.env.example` and docs/settings.md follow this."""

import os
from collections.abc import Iterator
from enum import StrEnum
from pathlib import Path
from typing import Literal

from pydantic import Field, SecretStr, ValidationError
from pydantic_settings import BaseSettings, DotEnvSettingsSource, SettingsConfigDict

from app.core.errors import ConfigurationError
from app.core.setting_types import (
    CommaSeparated,
    Issuers,
    MailServer,
    MetricsAddress,
    ModelPrices,
    Origins,
    Proxies,
    RedisUrl,
    Secret,
    Secrets,
    Sender,
    Url,
)
from app.core.text.nearest_name import nearest_name
from app.settings_in_effect import check_effects

OWN_PREFIXES = ("EMBEDDER_", "LLM_", "RATE_LIMIT_", "RECALL_", "SIGNUP_", "WEBHOOK_")
"""Variables of the environment with these prefixes are meant for this server. Others may belong to other programs."""
COMPOSE_VARIABLES = {"BIND_ADDRESS", "GRAFANA_PASSWORD", "GRAFANA_PORT", "KEEPSAKE_APP_PASSWORD", "POSTGRES_PASSWORD"}
COMPOSE_VARIABLES |= {"PUBLIC_PORT", "REDIS_PASSWORD", "REQUIREMENTS"}
"""Variables of docker-compose.yml, which reads the same `.env`."""


class SignupMode(StrEnum):
    PERSONAL = "personal"
    SHARED = "shared"
    CLOSED = "closed"


class VectorStore(StrEnum):
    EDGE = "edge"
    QDRANT = "qdrant"
    PGVECTOR = "pgvector"
    MILVUS = "milvus"
    CHROMA = "chroma"


class LogFormat(StrEnum):
    TEXT = "text"
    JSON = "json"


class Settings(BaseSettings):
    model_config = SettingsConfigDict(env_file=".env", extra="ignore", env_ignore_empty=True, validate_default=True)

    # Server
    data_dir: Path = Field(
        Path("data"), description="Folder for the embedded Postgres, the embedded index and the keys"
    )
    host: str = Field("127.0.0.1", description="Address to listen on")
    port: int = Field(8000, ge=0, le=65535, description="Port to listen on")
    public_url: Url = Field(None, description="URL at which clients reach this server; http://HOST:PORT if empty")
    metrics_address: MetricsAddress = Field(
        None, description="HOST:PORT that serves /metrics instead of the main address"
    )
    metrics_token: SecretStr | None = Field(None, description="Token that /metrics requires; none if empty")
    development: bool = Field(True, description="Without a mail server, write the links of e-mails to the log")
    graphql_introspection: bool = Field(False, description="Show the schema of /graphql to its callers")

    # Postgres
    database_url: SecretStr | None = Field(None, description="Your own Postgres; the embedded one is used if empty")
    admin_database_url: SecretStr | None = Field(
        None, description="Postgres login that runs migrations; DATABASE_URL if empty"
    )
    database_pool_size: int = Field(10, ge=1, le=200, description="Postgres connections per process")
    auto_migrate: bool = Field(True, description="Apply missing migrations at every start")
    content_keys: Secrets = Field(
        [], description="Master keys of encrypted content, comma-separated; the first wraps new keys, the others unwrap"
    )
    encrypt_new_projects: bool = Field(False, description="Encrypt the content of projects from their first use on")

    # Accounts
    supabase_url: Url = Field(
        None, description="URL of the Supabase project; the built-in identity provider is used if empty"
    )
    supabase_publishable_key: SecretStr | None = Field(None, description="Publishable key, sb_publishable_…")
    supabase_secret_key: SecretStr | None = Field(None, description="Secret key of that project, sb_secret_…")
    supabase_jwt_secret: SecretStr | None = Field(
        None, description="JWT secret of older projects that sign with HS256; other algorithms stay accepted"
    )
    supabase_jwt_issuer: Issuers = Field(
        [],
        description="Issuers of the project's tokens, comma-separated, `none` for tokens without `iss`;"
        " SUPABASE_URL/auth/v1 if empty",
    )
    former_issuer: Url = Field(
        None, description="After a move to Supabase, the previous issuer, whose tokens stay valid until they expire"
    )
    signup_mode: SignupMode = Field(
        SignupMode.PERSONAL, description="personal (a project per account), shared (one project for all) or closed"
    )
    second_factor: Literal["required", "optional"] = Field(
        "required", description="Whether accounts with a second factor need it to administer: required or optional"
    )
    anonymous_administration: bool = Field(False, description="Let anonymous accounts create keys and administer")
    oauth_registration: bool = Field(False, description="Let clients register themselves to use OAuth at /mcp")
    oauth_issuer: Literal["keepsake", "supabase"] = Field("keepsake", description="Who issues OAuth tokens for /mcp")
    anonymous_sign_in: bool = Field(False, description="Let people sign in without an e-mail address")
    sign_ups_per_address: int = Field(
        30, ge=1, description="Sign-ups and requested e-mails per IP address in 5 minutes"
    )
    password_guesses: int = Field(
        10, ge=3, le=100, description="Wrong passwords per account and IP address in 15 minutes"
    )
    password_min_length: int = Field(8, ge=6, le=72, description="Minimum length of a password at sign-up")
    mail_confirm: bool | None = Field(
        None, description="Confirm e-mail addresses; enabled by default if SMTP_HOST is set"
    )
    access_token_seconds: int = Field(3600, ge=60, le=604800, description="Lifetime of an access token, in seconds")
    site_url: Url = Field(None, description="URL to which links in e-mails lead; PUBLIC_URL if empty")
    smtp_host: MailServer = Field(None, description="Mail server; without one, links are logged in development")
    smtp_port: int = Field(587, ge=1, le=65535, description="Port of the mail server")
    smtp_username: str | None = Field(None, description="User name at the mail server")
    smtp_password: SecretStr | None = Field(None, description="Password at the mail server")
    smtp_security: Literal["starttls", "tls", "none"] = Field("starttls", description="starttls, tls or none")
    smtp_from: Sender = Field("keepsake@localhost", description="Sender address of e-mails")
    trusted_proxies: Proxies = Field(
        ["127.0.0.1", "::1"], description="Proxies whose X-Forwarded-For header is trusted, comma-separated"
    )
    secret_key: Secret = Field(
        None, description="Secret for hashing API keys, the same on all servers; created in DATA_DIR if empty"
    )

    # Vectors
    vector_store: VectorStore | None = Field(
        None, description="edge, qdrant, pgvector, milvus or chroma; qdrant if empty and QDRANT_URL is set, else edge"
    )
    qdrant_url: Url = Field(None, description="URL of a Qdrant server or cluster")
    qdrant_api_key: SecretStr | None = Field(None, description="API key of the Qdrant server")
    qdrant_collection: str = Field("keepsake", description="Alias of the Qdrant collection")
    milvus_url: Url = Field(None, description="URL of a Milvus server, 2.3.5 or newer")
    milvus_token: SecretStr | None = Field(None, description="Token of Milvus, or USER:PASSWORD")
    milvus_database: str | None = Field(None, description="Database at Milvus; it must exist. The default one if empty")
    milvus_collection: str = Field(
        "keepsake",
        pattern=r"^[a-zA-Z_][a-zA-Z0-9_]{0,200}$",
        description="What the names of the collections in Milvus begin with",
    )
    chroma_url: Url = Field(None, description="URL of a Chroma server, 1.0 or newer")
    chroma_token: SecretStr | None = Field(None, description="Token that Chroma, or a proxy before it, asks for")
    chroma_tenant: str = Field("default_tenant", description="Tenant at Chroma; it must exist")
    chroma_database: str = Field("default_database", description="Database of that tenant; it must exist")
    chroma_collection: str = Field(
        "keepsake",
        pattern=r"^[a-zA-Z0-9][a-zA-Z0-9._-]{0,200}$",
        description="What the names of the collections in Chroma begin with",
    )

    # Short-term memory and counters
    redis_url: RedisUrl = Field(
        None, description="Redis, alone or behind sentinels, shared by servers; kept in the process if empty"
    )

    # Models
    llm_base_url: Url = Field(
        None, description="OpenAI-compatible endpoint; without it and without a key, answers are offline"
    )
    llm_api_key: SecretStr | None = Field(
        None, description="API key of the language model; OPENAI_API_KEY is used if empty"
    )
    openai_api_key: SecretStr | None = Field(None, description="Used if LLM_API_KEY is empty")
    llm_model: str = Field("gpt-5-mini", description="Language model for chat and extraction")
    llm_provider: str = Field(
        "openai",
        description="openai (any compatible endpoint), azure_openai, gemini, ollama or huggingface;"
        " mem0's other providers extract only",
    )
    llm_timeout_seconds: float = Field(
        60, gt=0, description="Longest wait for a model's answer in all, or for each token of a stream, in seconds"
    )
    llm_concurrency: int = Field(32, ge=1, description="Concurrent model calls; further calls wait in a queue")
    llm_queue: int = Field(128, ge=0, description="Model calls that may wait; beyond it, 503 with Retry-After")
    llm_context_tokens: int = Field(8000, ge=1000, description="Maximum tokens of a prompt, not counting the answer")
    llm_answer_tokens: int = Field(
        1024, ge=16, description="Maximum tokens of an answer if a request sets no max_tokens"
    )
    llm_max_tokens: int | None = Field(
        None, ge=16, description="Largest max_tokens of a request; the larger of 4096 and LLM_ANSWER_TOKENS if empty"
    )
    llm_allowed_models: CommaSeparated = Field(
        [], description="Models that a request may name besides LLM_MODEL, comma-separated, or * for any"
    )
    llm_account_tokens_per_month: int | None = Field(
        None, ge=1, description="Tokens per account and month, in all its projects; no limit if empty"
    )
    llm_tokens_per_month: int | None = Field(
        None, ge=1, description="Tokens of the whole server per month; no limit if empty"
    )
    llm_prices: ModelPrices = Field(
        [],
        description="Prices of a million tokens of prompt and answer: model=0.25/2, comma-separated",
    )
    embedder: str = Field(
        "onnx",
        description="onnx (included), openai, azure_openai, gemini, ollama, huggingface,"
        " or another of mem0's embedder providers",
    )
    embedder_model: str | None = Field(None, description="Embedding model at that provider")
    embedder_base_url: Url = Field(None, description="Address of that provider, if it is not the provider's own")
    embedder_api_key: SecretStr | None = Field(None, description="API key for embeddings; LLM_API_KEY if empty")

    # Recall
    recall_candidates: int = Field(
        50, ge=10, le=1000, description="Candidates fetched by meaning and by words before ranking"
    )
    recency_half_life_days: float = Field(
        30, gt=0, description="Age in days at which the recency part of a score halves"
    )

    recalled_memories: int = Field(8, ge=0, le=100, description="Maximum number of memories in a chat prompt")
    recall_threshold: float | None = Field(
        None, ge=0, le=1, description="Minimum score of a memory in a chat prompt; what fits the message if empty"
    )

    # Requests
    cors_origins: Origins = Field([], description="Allowed origins of browser front ends, comma-separated")
    max_body_bytes: int = Field(4 << 20, ge=1024, description="Maximum size of a request body; beyond it, 413")
    request_timeout_seconds: float = Field(
        60, gt=0, description="Timeout of a request that is not streamed, in seconds"
    )
    rate_limit_chat: str = Field("30/minute", description="Chat turns per user")
    rate_limit_user: str = Field(
        "600/minute", description="Requests per caller, and per IP address without a valid credential"
    )
    rate_limit_project: str = Field("6000/minute", description="Requests per project")
    rate_limit_account: str | None = Field(
        None,
        description="Requests per account and per organization, with all their keys; RATE_LIMIT_PROJECT if empty",
    )
    rate_limit_global: str = Field(
        "10000/minute",
        description="Requests to the whole service; beyond it, accounts that used more than their share are refused",
    )
    rate_limit_auth: str = Field("30/minute", description="Sign-up, login and recovery requests per IP address")

    # Background jobs
    worker: bool = Field(True, description="Run jobs inside the API process")
    worker_concurrency: int = Field(4, ge=1, le=64, description="Concurrent jobs per worker")
    events_kept_days: int = Field(30, ge=1, le=36_500, description="Days for which finished events are kept")
    webhook_allow_private: bool = Field(False, description="Allow webhooks to private networks and over plain http")

    # Logs
    log_level: Literal["DEBUG", "INFO", "WARNING", "ERROR"] = Field("INFO", description="DEBUG, INFO, WARNING or ERROR")
    log_format: LogFormat = Field(LogFormat.TEXT, description="text or json")

    def __init__(self, **values: object) -> None:
        super().__init__(**values)  # type: ignore[arg-type]  # pydantic takes what the environment would hold

    @property
    def base_url(self) -> str:
        return self.public_url or f"http://{self.host}:{self.port}"


def load_settings(**overrides: object) -> Settings:
    """Read the environment, or stop with one sentence that names the variable and the remedy."""
    try:
        settings = Settings(**{name: value for name, value in overrides.items() if value is not None})
    except ValidationError as error:
        first = error.errors(include_input=False, include_url=False)[0]
        name = str(first["loc"][0]).upper() if first["loc"] else "a setting"
        why = first["msg"].removeprefix("Value error, ")
        raise ConfigurationError(f"{name} is invalid: {why}. See .env.example") from None
    check_effects(settings)
    _check_combinations(settings)
    return settings


def _check_combinations(settings: Settings) -> None:
    if settings.llm_max_tokens is not None and settings.llm_max_tokens < settings.llm_answer_tokens:
        raise ConfigurationError(
            "LLM_MAX_TOKENS is smaller than LLM_ANSWER_TOKENS. Raise it, or lower LLM_ANSWER_TOKENS"
        )
    if settings.mail_confirm and not settings.smtp_host and not settings.development:
        raise ConfigurationError("MAIL_CONFIRM requires SMTP_HOST: without a mail server no address can be confirmed")


def describe_unknown_variables() -> Iterator[str]:
    """A warning per variable without effect that was probably meant for this server: others may share `.env`."""
    known = {name.upper() for name in Settings.model_fields}
    in_file = {name.upper() for name in DotEnvSettingsSource(Settings).env_vars} - COMPOSE_VARIABLES
    in_environment = {name for name in os.environ if name.startswith(OWN_PREFIXES)}
    for place, names in ((".env", in_file), ("the environment", in_environment)):
        for name in sorted(names - known):
            nearest = nearest_name(name, known)
            hint = f" Did you mean {nearest}?" if nearest else " See .env.example for all settings."
            yield f"{name} in {place} is not a setting and has no effect.{hint}"
