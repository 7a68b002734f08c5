"""Settings that have no effect beside the other settings stop the start: the operator expects something from them."""

from pydantic_settings import BaseSettings

from app.core.errors import ConfigurationError

# The first settings have no effect without the second one, so setting them alone is an error.
COMPANIONS = {
    ("admin_database_url",): "database_url",
    (
        "supabase_publishable_key",
        "supabase_secret_key",
        "supabase_jwt_secret",
        "supabase_jwt_issuer",
        "former_issuer",
        "oauth_issuer",
    ): "supabase_url",
    ("smtp_username", "smtp_password", "smtp_port", "smtp_security", "smtp_from"): "smtp_host",
    ("smtp_password",): "smtp_username",
    ("smtp_username",): "smtp_password",
    ("qdrant_api_key",): "qdrant_url",
    ("milvus_token", "milvus_database", "milvus_collection"): "milvus_url",
    ("chroma_token", "chroma_tenant", "chroma_database", "chroma_collection"): "chroma_url",
    ("encrypt_new_projects",): "content_keys",
}
BUILT_IN_ACCOUNTS_ONLY = {
    "anonymous_sign_in": "anonymous sign-ins",
    "sign_ups_per_address": "the rate limits",
    "password_guesses": "the rate limits",
    "password_min_length": "the password rules",
    "mail_confirm": "whether e-mail addresses are confirmed",
    "access_token_seconds": "the lifetime of access tokens",
    "site_url": "the site URL",
    "smtp_host": "the mail server",
    "smtp_port": "the mail server",
    "smtp_username": "the mail server",
    "smtp_password": "the mail server",
    "smtp_security": "the mail server",
    "smtp_from": "the mail server",
}
"""These have no effect with SUPABASE_URL, because Supabase has settings of its own for the same thing."""


def check_effects(settings: BaseSettings) -> None:
    if is_set(settings, "supabase_url"):
        for name, equivalent in BUILT_IN_ACCOUNTS_ONLY.items():
            if is_set(settings, name):
                raise ConfigurationError(
                    f"{name.upper()} has no effect with SUPABASE_URL. Set {equivalent} in the Supabase project,"
                    f" and remove {name.upper()}"
                )
    check_vector_store(settings)
    for names, needed in COMPANIONS.items():
        for name in names:
            if is_set(settings, name) and not getattr(settings, needed):
                raise ConfigurationError(
                    f"{name.upper()} has no effect without {needed.upper()}. Set {needed.upper()} too, or remove it"
                )


def check_vector_store(settings: BaseSettings) -> None:
    """An address alone chooses Qdrant only. With another VECTOR_STORE, addresses stay for the way back."""
    for name, store in (("milvus_url", "milvus"), ("chroma_url", "chroma")):
        if is_set(settings, name) and not is_set(settings, "vector_store"):
            raise ConfigurationError(
                f"{name.upper()} has no effect without VECTOR_STORE={store}. Set VECTOR_STORE too, or remove it"
            )


def is_set(settings: BaseSettings, name: str) -> bool:
    """A value that equals the default expects nothing special. docker-compose.yml passes such values on."""
    return bool(getattr(settings, name) != type(settings).model_fields[name].default)
