"""Links that lead to a code (PKCE), as with `@supabase/ssr`: the client keeps a verifier and exchanges the code."""

import httpx
import pytest
from sqlalchemy import text
from supabase_auth import AsyncGoTrueClient
from supabase_auth.errors import AuthApiError

from app.core.database.database import Database
from tests.identity.local.conftest import ISSUER, PASSWORD, SECRET, Provider, new_email, sign_up_confirmed

TARGET = "http://app.test/welcome?from=mail"


def code_client(provider: Provider) -> AsyncGoTrueClient:
    headers = {"apikey": SECRET, "Authorization": f"Bearer {SECRET}"}
    return AsyncGoTrueClient(
        url=ISSUER, headers=headers, http_client=provider.http, auto_refresh_token=False, flow_type="pkce"
    )


async def follow_link(provider: Provider) -> httpx.URL:
    answer = await provider.http.get(str(await provider.link()))
    assert answer.status_code == 303
    return httpx.URL(answer.headers["Location"])


async def exchange(client: AsyncGoTrueClient, code: str) -> str | None:
    answer = await client.exchange_code_for_session({"auth_code": code})
    return answer.session.user.email if answer.session else None


async def test_recovery_link_leads_to_a_code_that_its_client_exchanges(mailing: Provider) -> None:
    email = new_email()
    await sign_up_confirmed(mailing, email)
    client = code_client(mailing)
    await client.reset_password_for_email(email, {"redirect_to": TARGET})
    url = await follow_link(mailing)
    assert (url.host, url.path, url.params["from"], url.fragment) == ("app.test", "/welcome", "mail", "")
    assert await exchange(client, url.params["code"]) == email
    await client.update_user({"password": "another fine password"})
    await mailing.client().sign_in_with_password({"email": email, "password": "another fine password"})


async def test_sign_up_and_one_time_links_lead_to_codes(mailing: Provider) -> None:
    email = new_email()
    client = code_client(mailing)
    await client.sign_up({"email": email, "password": PASSWORD, "options": {"email_redirect_to": TARGET}})
    assert await exchange(client, (await follow_link(mailing)).params["code"]) == email
    client = code_client(mailing)
    await client.sign_in_with_otp({"email": email, "options": {"email_redirect_to": TARGET}})
    assert await exchange(client, (await follow_link(mailing)).params["code"]) == email


async def test_code_works_once_and_only_with_the_verifier_of_its_client(mailing: Provider) -> None:
    email = new_email()
    await sign_up_confirmed(mailing, email)
    for thief_first in (False, True):
        client, thief = code_client(mailing), code_client(mailing)
        await thief.reset_password_for_email(new_email())  # leaves a verifier of its own
        await client.reset_password_for_email(email)
        code = (await follow_link(mailing)).params["code"]
        if thief_first:
            with pytest.raises(AuthApiError) as refused:
                await exchange(thief, code)
            assert refused.value.code == "bad_code_verifier"
        else:
            assert await exchange(client, code) == email
        with pytest.raises(AuthApiError) as spent:
            await exchange(client if thief_first else thief, code)
        assert (spent.value.status, spent.value.code) == (404, "flow_state_not_found")


async def test_code_expires_after_five_minutes(mailing: Provider, database: Database) -> None:
    email = new_email()
    session = await sign_up_confirmed(mailing, email)
    client = code_client(mailing)
    await client.reset_password_for_email(email)
    code = (await follow_link(mailing)).params["code"]
    older = text("update auth.flow_state set auth_code_issued_at = now() - interval '301 seconds' where user_id = :id")
    async with database.system() as tx:
        await tx.execute(older, {"id": session.user.id})
    with pytest.raises(AuthApiError) as refused:
        await exchange(client, code)
    assert refused.value.code == "flow_state_expired"


async def test_used_link_redirects_with_the_error_in_query_and_fragment(mailing: Provider) -> None:
    email = new_email()
    await sign_up_confirmed(mailing, email)
    await code_client(mailing).reset_password_for_email(email)
    await follow_link(mailing)
    url = await follow_link(mailing)
    assert url.params["error_code"] == "otp_expired"
    assert "error_code=otp_expired" in url.fragment


@pytest.mark.parametrize(
    "challenge",
    [
        {"code_challenge": "x" * 43},
        {"code_challenge_method": "s256"},
        {"code_challenge": "x" * 42, "code_challenge_method": "s256"},
        {"code_challenge": "x" * 43, "code_challenge_method": "md5"},
        {"code_challenge": "é" * 43, "code_challenge_method": "s256"},
    ],
)
async def test_invalid_challenge_is_refused_before_anything_is_sent(
    mailing: Provider, challenge: dict[str, str]
) -> None:
    for path in ("/recover", "/otp"):
        refused = await mailing.http.post(path, json={"email": new_email(), **challenge})
        assert (refused.status_code, refused.json()["error_code"]) == (400, "validation_failed")
    await mailing.identity.outbox.drain()
    assert mailing.mailbox.mails == []
