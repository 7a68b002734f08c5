"""`accounts remove-factors`, for a person who lost the device."""

import pytest
from sqlalchemy import text
from supabase_auth.errors import AuthApiError

from app import commands
from app.core.database.database import Database
from app.core.errors import ConfigurationError
from app.settings import Settings
from tests.identity.local.authenticator import enroll, sign_in_client
from tests.identity.local.conftest import Provider, new_email, open_session
from tests.identity.local.flows.test_factors import with_factor

HAS_FACTOR = text("select private.has_second_factor(id) from auth.users where email = :email")


async def has_factor(database: Database, email: str) -> bool:
    async with database.system() as tx:
        return bool(await tx.scalar(HAS_FACTOR, {"email": email}))


async def test_person_who_lost_the_device_signs_in_with_the_password_again(
    provider: Provider, database: Database, settings: Settings, capsys: pytest.CaptureFixture[str]
) -> None:
    email, other_email = new_email(), new_email()
    lost, _ = await with_factor(provider, email)
    held = await lost.get_session()
    other, _ = await with_factor(provider, other_email)
    assert held is not None

    await commands.remove_factors(settings, f" {email.upper()} ")
    assert "Removed second factors: 1. All its sessions ended" in capsys.readouterr().out
    assert [await has_factor(database, email), await has_factor(database, other_email)] == [False, True]

    with pytest.raises(AuthApiError) as ended:
        await lost.get_user(held.access_token)
    assert ended.value.code == "session_not_found"
    with pytest.raises(AuthApiError) as refused:
        await provider.client().refresh_session(held.refresh_token)
    assert str(refused.value.code) == "refresh_token_not_found"
    assert await other.get_user() is not None

    client = await sign_in_client(provider.client(), email)
    level = await client.mfa.get_authenticator_assurance_level()
    assert (level.current_level, level.next_level) == ("aal1", "aal1")
    await (await enroll(client)).confirm(client)
    assert await has_factor(database, email) is True


async def test_command_changes_nothing_for_an_account_without_a_second_factor(
    provider: Provider, settings: Settings
) -> None:
    email = new_email()
    session = await open_session(provider, email)
    with pytest.raises(ConfigurationError, match="no second factor"):
        await commands.remove_factors(settings, email)
    assert await provider.client().get_user(session.access_token) is not None
    with pytest.raises(ConfigurationError, match="No account has this address"):
        await commands.remove_factors(settings, new_email())


async def test_command_names_the_dashboard_where_supabase_manages_accounts(settings: Settings) -> None:
    elsewhere = settings.model_copy(update={"supabase_url": "https://ref.supabase.co"})
    with pytest.raises(ConfigurationError, match="Remove the factors in its dashboard"):
        await commands.remove_factors(elsewhere, new_email())
