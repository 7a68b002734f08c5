"""The `supabase` package, unchanged, over HTTP on loopback."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import httpx
import pytest
from supabase.lib.client_options import SyncClientOptions
from supabase_auth.errors import AuthApiError

from supabase import AsyncClient, AsyncClientOptions, acreate_client, create_client
from tests.identity.local.conftest import PASSWORD, SECRET, Provider, new_email, serving
from tests.patience import PATIENCE_SECONDS


@asynccontextmanager
async def using(url: str, key: str = "sb_publishable_for_tests") -> AsyncIterator[AsyncClient]:
    async with httpx.AsyncClient(timeout=PATIENCE_SECONDS) as http:
        options = AsyncClientOptions(httpx_client=http, flow_type="implicit", auto_refresh_token=False)
        yield await acreate_client(url, key, options)


async def test_async_client_runs_all_account_flows(provider: Provider) -> None:
    email = new_email()
    async with serving(provider) as url, using(url) as client:
        signed_up = await client.auth.sign_up({"email": email, "password": PASSWORD})
        assert signed_up.session is not None
        signed_in = await client.auth.sign_in_with_password({"email": email, "password": PASSWORD})
        assert signed_in.session is not None
        refreshed = await client.auth.refresh_session()
        assert refreshed.session is not None
        assert refreshed.session.refresh_token != signed_in.session.refresh_token
        updated = await client.auth.update_user({"data": {"name": "Ada"}})
        assert updated.user.user_metadata == {"name": "Ada"}
        assert await client.auth.get_claims() is not None
        await client.auth.reset_password_for_email(email)
        recovered = await client.auth.verify_otp({"token_hash": await provider.token_hash(), "type": "recovery"})
        assert recovered.session is not None
        await client.auth.update_user({"password": "another fine password"})
        await client.auth.sign_out()
        with pytest.raises(AuthApiError) as refused:
            await client.auth.get_user(recovered.session.access_token)
        assert refused.value.code == "session_not_found"
        await client.auth.sign_in_with_password({"email": email, "password": "another fine password"})


async def test_admin_client_works_with_the_secret_key(provider: Provider) -> None:
    async with serving(provider) as url, using(url, SECRET) as owner, using(url) as anonymous:
        admin = owner.auth.admin
        user = (await admin.create_user({"email": new_email(), "password": PASSWORD})).user
        assert user.id in {found.id for found in await admin.list_users()}
        await admin.delete_user(user.id)
        with pytest.raises(AuthApiError) as refused:
            await anonymous.auth.admin.list_users()
        assert refused.value.code == "not_admin"


async def test_sync_client_with_default_options_signs_up_and_in(provider: Provider) -> None:
    """The default flow of the client sends a PKCE challenge, which a provider without redirects may ignore."""

    def live(url: str) -> str | None:
        email = new_email()
        with httpx.Client(timeout=PATIENCE_SECONDS) as http:
            client = create_client(url, "sb_publishable_for_tests", SyncClientOptions(httpx_client=http))
            client.auth.sign_up({"email": email, "password": PASSWORD})
            session = client.auth.sign_in_with_password({"email": email, "password": PASSWORD}).session
            client.auth.sign_out()
        return session.user.email if session else None

    async with serving(provider) as url:
        assert await asyncio.to_thread(live, url)


async def test_clients_do_not_share_sessions(provider: Provider) -> None:
    """The reason why the app creates one client per operation."""
    alice, bob = provider.client(), provider.client()
    await alice.sign_up({"email": new_email(), "password": PASSWORD})
    await bob.sign_up({"email": new_email(), "password": PASSWORD})
    await alice.update_user({"data": {"name": "Alice"}})
    assert (await bob.get_user()).user.user_metadata == {}  # type: ignore[union-attr]
