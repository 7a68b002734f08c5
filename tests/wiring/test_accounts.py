"""Which settings of accounts have which effect."""

from contextlib import AsyncExitStack
from pathlib import Path

import httpx
import pytest

from app.adapters.in_process import InProcessShortTerm
from app.core.database.database import Database
from app.core.errors import ConfigurationError
from app.settings import Settings, load_settings
from app.wiring import build_config
from app.wiring.accounts import open_local_identity, token_issuers
from tests.patience import PATIENCE_SECONDS

URL = "https://ref.supabase.co"
OWN = f"{URL}/auth/v1"
FORMER = "http://127.0.0.1:8000/auth/v1"
ASYMMETRIC, SHARED = frozenset({"ES256", "RS256"}), frozenset({"HS256"})


async def accepted(tmp_path: Path, **values: str) -> list[tuple[str | None, frozenset[str]]]:
    settings = Settings(_env_file=None, data_dir=tmp_path, supabase_url=URL, **values)
    async with httpx.AsyncClient(timeout=PATIENCE_SECONDS) as http:
        return [(issuer.name, issuer.algorithms) for issuer in token_issuers(settings, None, http)]


async def test_only_the_projects_own_issuer_is_accepted_by_default(tmp_path: Path) -> None:
    assert await accepted(tmp_path) == [(OWN, ASYMMETRIC)]


async def test_shared_secret_does_not_switch_other_issuers_and_algorithms_off(tmp_path: Path) -> None:
    issuers = await accepted(tmp_path, supabase_jwt_secret="s" * 40, former_issuer=FORMER)
    assert issuers == [(OWN, ASYMMETRIC), (OWN, SHARED), (FORMER, frozenset({"ES256"}))]


async def test_self_hosted_supabase_can_name_another_issuer_or_none(tmp_path: Path) -> None:
    issuers = await accepted(tmp_path, supabase_jwt_issuer="none, http://kong:8000/auth/v1")
    assert [name for name, _ in issuers] == [None, "http://kong:8000/auth/v1"]


@pytest.mark.parametrize("value", ["kong", "ftp://kong/auth/v1", "None", "https://"])
def test_issuer_that_is_not_an_address_stops_the_start(
    value: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("SUPABASE_URL", URL)
    monkeypatch.setenv("SUPABASE_JWT_ISSUER", value)
    with pytest.raises(ConfigurationError, match=r"SUPABASE_JWT_ISSUER.*or none"):
        load_settings()


def test_policy_for_second_factors_and_anonymous_accounts_reaches_the_features() -> None:
    defaults = build_config(Settings(_env_file=None))
    assert (defaults.second_factor_required, defaults.anonymous_administration) == (True, False)
    lenient = build_config(Settings(_env_file=None, second_factor="optional", anonymous_administration=True))
    assert (lenient.second_factor_required, lenient.anonymous_administration) == (False, True)


@pytest.mark.parametrize("allowed", [False, True])
async def test_anonymous_sign_in_reaches_the_built_in_provider(
    database: Database, tmp_path: Path, *, allowed: bool
) -> None:
    settings = Settings(_env_file=None, data_dir=tmp_path, anonymous_sign_in=allowed)
    async with AsyncExitStack() as stack:
        local = open_local_identity(settings, stack, database, InProcessShortTerm(), "sb_secret_for_tests")
        assert local is not None
        assert local.settings.anonymous_sign_in is allowed
