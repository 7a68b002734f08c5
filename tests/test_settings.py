"""Invalid settings stop the start with one sentence that names them."""

import re
from pathlib import Path

import pytest
from typer.testing import CliRunner

from app.__main__ import cli
from app.core.errors import ConfigurationError
from app.settings import COMPOSE_VARIABLES, Settings, describe_unknown_variables, load_settings
from app.settings_in_effect import BUILT_IN_ACCOUNTS_ONLY, COMPANIONS

ROOT = Path(__file__).parent.parent

WEB = (
    *("PUBLIC_URL", "SUPABASE_URL", "FORMER_ISSUER", "SITE_URL", "QDRANT_URL", "CHROMA_URL", "MILVUS_URL"),
    *("LLM_BASE_URL", "EMBEDDER_BASE_URL"),
)
NO_ADDRESS = ("nonsense", "localhost:8000", "https://", "ftp://host", "http://host:port", "http://ho st", "//host")


@pytest.mark.parametrize("value", NO_ADDRESS)
@pytest.mark.parametrize("name", [*WEB, "REDIS_URL", "CORS_ORIGINS"])
def test_invalid_url_is_refused(monkeypatch: pytest.MonkeyPatch, name: str, value: str) -> None:
    monkeypatch.setenv(name, value)
    with pytest.raises(ConfigurationError, match=f"^{name} is invalid: write .*://"):
        load_settings()


@pytest.mark.parametrize("value", ["https://api.example.com/v1/", "http://[::1]:8000", "http://127.0.0.1:6333"])
@pytest.mark.parametrize("name", WEB)
def test_trailing_slash_of_a_url_is_removed(monkeypatch: pytest.MonkeyPatch, name: str, value: str) -> None:
    if name == "FORMER_ISSUER":
        monkeypatch.setenv("SUPABASE_URL", "https://project.supabase.co")
    if name in ("CHROMA_URL", "MILVUS_URL"):
        monkeypatch.setenv("VECTOR_STORE", name.removesuffix("_URL").lower())
    monkeypatch.setenv(name, value)
    assert getattr(load_settings(), name.lower()) == value.rstrip("/")


REDIS_URLS = [
    "redis://:secret@host:6379/0",
    "rediss://host",
    "unix:///run/redis.sock?db=1",
    "redis+sentinel://a/mymaster",
    "rediss+sentinel://user:secret@a:26379,b.example:26380,[::1]:26381/mymaster/2?sentinel_password=other",
]


@pytest.mark.parametrize("value", REDIS_URLS)
def test_redis_url_may_have_any_host(monkeypatch: pytest.MonkeyPatch, value: str) -> None:
    monkeypatch.setenv("REDIS_URL", value)
    found = load_settings().redis_url
    assert found is not None
    assert found.get_secret_value() == value


def test_errors_do_not_contain_secrets_of_urls(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("REDIS_URL", "redis://:secret@host:many/0")
    with pytest.raises(ConfigurationError) as refused:
        load_settings()
    assert "secret" not in str(refused.value)


def test_origins_have_no_path(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CORS_ORIGINS", "https://a.example.com/, http://localhost:3000,*")
    assert load_settings().cors_origins == ["https://a.example.com", "http://localhost:3000", "*"]
    monkeypatch.setenv("CORS_ORIGINS", "https://a.example.com/chat")
    with pytest.raises(ConfigurationError, match="CORS_ORIGINS"):
        load_settings()


@pytest.mark.parametrize(
    ("name", "value", "remedy"),
    [
        ("SMTP_HOST", "http://mail", "write the host alone"),
        ("SMTP_HOST", "mail server", "write the host alone"),
        ("SMTP_FROM", "nonsense", "name@example.com"),
        ("SMTP_FROM", "a b@c d", "name@example.com"),
        ("METRICS_ADDRESS", "9100", "HOST:PORT"),
        ("METRICS_ADDRESS", "127.0.0.1:", "HOST:PORT"),
        ("METRICS_ADDRESS", "127.0.0.1:70000", "HOST:PORT"),
        ("TRUSTED_PROXIES", "proxy", "10.0.0.0/8"),
        ("TRUSTED_PROXIES", "10.0.0.1/8", "10.0.0.0/8"),
        ("TRUSTED_PROXIES", "127.0.0.1,1.2.3.4/99", "10.0.0.0/8"),
        ("REDIS_URL", "redis://host/first", "redis://host:6379/0"),
        ("REDIS_URL", "redis+sentinel://host:26379", "redis+sentinel://host:26379,host:26379/service/0"),
        ("SECRET_KEY", "short", "32 or more random characters"),
        ("CONTENT_KEYS", f"{'x' * 32},short", "32 or more random characters for each key"),
        ("LOG_LEVEL", "LOUD", "'DEBUG', 'INFO', 'WARNING' or 'ERROR'"),
    ],
)
def test_invalid_combination_is_refused_with_a_remedy(
    monkeypatch: pytest.MonkeyPatch, name: str, value: str, remedy: str
) -> None:
    monkeypatch.setenv(name, value)
    with pytest.raises(ConfigurationError, match=f"^{name} is invalid: ") as refused:
        load_settings()
    assert remedy in str(refused.value)
    assert "mail server" not in str(refused.value)


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("SMTP_FROM", "Keepsake <a@b.example>"),
        ("SMTP_HOST", "::1"),
        ("METRICS_ADDRESS", "127.0.0.1:9100"),
        ("METRICS_ADDRESS", "[::1]:9100"),
        ("TRUSTED_PROXIES", "*"),
        ("TRUSTED_PROXIES", "10.0.0.0/8, ::1"),
        ("REDIS_URL", "redis://host?db=1"),
        ("SECRET_KEY", "x" * 32),
        ("CONTENT_KEYS", f"{'x' * 32},{'y' * 32}"),
    ],
)
def test_valid_combination_is_accepted(monkeypatch: pytest.MonkeyPatch, name: str, value: str) -> None:
    monkeypatch.setenv("SMTP_HOST", "mail.example.com")
    monkeypatch.setenv(name, value)
    load_settings()


VALUES = {
    "anonymous_sign_in": "true",
    "sign_ups_per_address": "5",
    "password_guesses": "5",
    "password_min_length": "12",
    "mail_confirm": "false",
    "encrypt_new_projects": "true",
    "oauth_issuer": "supabase",
    "access_token_seconds": "600",
    "smtp_host": "mail.example.com",
    "smtp_port": "25",
    "smtp_security": "tls",
    "smtp_from": "a@b.example",
    "chroma_collection": "memories",
    "milvus_collection": "memories",
}
IN_BOTH_MODES = {"supabase_url", "signup_mode", "trusted_proxies", "secret_key", "oauth_registration"} | {
    "second_factor",
    "anonymous_administration",
}
SUPABASE_ONLY = {name for names, needed in COMPANIONS.items() if needed == "supabase_url" for name in names}


@pytest.mark.parametrize("name", sorted({name for names in COMPANIONS for name in names}))
def test_setting_without_effect_is_refused(monkeypatch: pytest.MonkeyPatch, name: str) -> None:
    monkeypatch.setenv(name.upper(), VALUES.get(name, "https://host"))
    with pytest.raises(
        ConfigurationError, match=rf"^{name.upper()} has no effect without .*\. Set .* too, or remove it"
    ):
        load_settings()


@pytest.mark.parametrize("store", ["milvus", "chroma"])
def test_address_of_a_store_that_is_not_chosen_is_refused(monkeypatch: pytest.MonkeyPatch, store: str) -> None:
    monkeypatch.setenv(f"{store.upper()}_URL", "http://127.0.0.1:8000")
    with pytest.raises(ConfigurationError, match=f"^{store.upper()}_URL has no effect without VECTOR_STORE={store}"):
        load_settings()
    monkeypatch.setenv("VECTOR_STORE", "edge")
    load_settings()


@pytest.mark.parametrize("name", ["a/b", "-a", "a b"])
def test_name_of_collections_is_one_that_chroma_accepts(monkeypatch: pytest.MonkeyPatch, name: str) -> None:
    monkeypatch.setenv("CHROMA_COLLECTION", name)
    with pytest.raises(ConfigurationError, match=r"^CHROMA_COLLECTION is invalid: "):
        load_settings()


@pytest.mark.parametrize("name", ["a-b", "1a", "a b"])
def test_name_of_collections_is_one_that_milvus_accepts(monkeypatch: pytest.MonkeyPatch, name: str) -> None:
    monkeypatch.setenv("MILVUS_COLLECTION", name)
    with pytest.raises(ConfigurationError, match=r"^MILVUS_COLLECTION is invalid: "):
        load_settings()


@pytest.mark.parametrize("name", sorted(BUILT_IN_ACCOUNTS_ONLY))
def test_setting_of_built_in_accounts_is_refused_with_supabase(monkeypatch: pytest.MonkeyPatch, name: str) -> None:
    monkeypatch.setenv("SUPABASE_URL", "https://project.supabase.co")
    monkeypatch.setenv(name.upper(), VALUES.get(name, "https://host"))
    with pytest.raises(
        ConfigurationError, match=rf"^{name.upper()} has no effect with SUPABASE_URL\. Set .* in the Supabase project"
    ):
        load_settings()


def test_default_values_do_not_stop_the_start_with_supabase(monkeypatch: pytest.MonkeyPatch) -> None:
    """docker-compose.yml passes defaults on."""
    for name, value in {"SUPABASE_URL": "https://project.supabase.co", "SMTP_HOST": "", "SMTP_PORT": "587"}.items():
        monkeypatch.setenv(name, value)
    load_settings()


def test_page_says_of_every_setting_of_accounts_in_which_mode_it_has_an_effect() -> None:
    """A new setting must be added to one of the three lists, in the code and on the page."""
    page = (ROOT / "docs" / "settings.md").read_text()
    (accounts,) = re.findall(r"\n## Accounts\n(.*?)\n## ", page, re.DOTALL)
    names = [set(re.findall(r"^\| `(\w+)`", part.lower(), re.MULTILINE)) for part in accounts.split("\n### ")]
    assert names == [IN_BOTH_MODES, SUPABASE_ONLY, BUILT_IN_ACCOUNTS_ONLY.keys()]


def test_confirmation_of_addresses_needs_a_mail_server(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MAIL_CONFIRM", "true")
    assert load_settings().mail_confirm
    monkeypatch.setenv("DEVELOPMENT", "false")
    with pytest.raises(ConfigurationError, match="MAIL_CONFIRM requires SMTP_HOST"):
        load_settings()


def test_misspelt_variable_is_reported_with_the_nearest_setting(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    Path(".env").write_text("LLM_MODLE=x\nPORT=8001\nREDIS_PASSWORD=x\nSOMETHING_OF_ANOTHER_PROGRAM=1\n")
    monkeypatch.setenv("RATE_LIMIT_USERS", "5/minute")
    monkeypatch.setenv("LLM_MODEL", "a")
    monkeypatch.setenv("QDRANT__SERVICE__API_KEY", "of another program")
    assert list(describe_unknown_variables()) == [
        "LLM_MODLE in .env is not a setting and has no effect. Did you mean LLM_MODEL?",
        "SOMETHING_OF_ANOTHER_PROGRAM in .env is not a setting and has no effect. See .env.example for all settings.",
        "RATE_LIMIT_USERS in the environment is not a setting and has no effect. Did you mean RATE_LIMIT_USER?",
    ]


def test_start_goes_on_after_it_reported_a_misspelt_variable(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    Path(".env").write_text("SIGNUPMODE=closed\nPORT=many\n")
    refused = CliRunner().invoke(cli, ["migrate"])
    assert "Error: PORT is invalid" in refused.stderr, "the file is read"
    Path(".env").write_text("SIGNUPMODE=closed\n")
    started = CliRunner().invoke(
        cli, ["export", "/nowhere/file"], env={"DATABASE_URL": "postgresql://127.0.0.1:1/none"}
    )
    assert "Warning: SIGNUPMODE in .env is not a setting and has no effect. Did you mean SIGNUP_MODE?" in started.stderr
    assert started.stderr.count("Warning") == 1


def test_variables_of_the_compose_file_are_not_reported() -> None:
    used = set(re.findall(r"\$\{([A-Z_]+)", (ROOT / "docker-compose.yml").read_text()))
    assert used - {name.upper() for name in Settings.model_fields} == COMPOSE_VARIABLES
