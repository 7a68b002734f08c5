"""What people and operators do with accounts, written once for the built-in provider and for GoTrue."""

import asyncio
import time
import uuid
from typing import Any

import httpx
import pytest

from app.identity.local.security.passwords import PasswordHasher
from app.identity.local.security.totp import PERIOD_SECONDS, code_at
from app.projects.deleted_accounts import KEPT_DAYS, erase_deleted_accounts
from tests.supabase_live.deployments import Deployment

pytestmark = pytest.mark.supabase
PASSWORD, NEW_PASSWORD = "correct horse battery", "another fine password"
REUSE_SECONDS = 11


def new_email() -> str:
    return f"{uuid.uuid4().hex[:12]}@example.com"


async def post(deployment: Deployment, path: str, token: str | None = None, **body: object) -> httpx.Response:
    async with deployment.client(token) as client:
        return await client.post(path, json=body)


async def get(deployment: Deployment, path: str, token: str) -> httpx.Response:
    async with deployment.client(token) as client:
        return await client.get(path)


async def sign_up(deployment: Deployment, email: str | None = None) -> dict[str, Any]:
    made = await post(deployment, "/v1/auth/signup", email=email or new_email(), password=PASSWORD)
    assert made.status_code == 200, made.text
    session: dict[str, Any] = made.json()
    return session


def outcome(response: httpx.Response) -> tuple[int, str]:
    return response.status_code, response.json().get("code", "")


async def test_sign_up_without_confirmation_gives_a_project(deployment: Deployment) -> None:
    email = new_email()
    session = await sign_up(deployment, email)
    projects = await get(deployment, "/v1/projects", session["access_token"])
    assert len(projects.json()["results"]) == 1
    taken = await post(deployment, "/v1/auth/signup", email=email, password=PASSWORD)
    assert outcome(taken) == (409, "user_already_exists")
    assert (await post(deployment, "/v1/auth/login", email=email, password=PASSWORD)).status_code == 200
    wrong = await post(deployment, "/v1/auth/login", email=email, password="wrong")
    assert outcome(wrong) == (401, "invalid_credentials")


async def test_sign_up_with_confirmation_waits_for_the_link(mailing_deployment: Deployment) -> None:
    email = new_email()
    made = await post(mailing_deployment, "/v1/auth/signup", email=email, password=PASSWORD)
    assert made.status_code == 202
    early = await post(mailing_deployment, "/v1/auth/login", email=email, password=PASSWORD)
    assert outcome(early) == (403, "email_not_confirmed")
    verified = await post(
        mailing_deployment, "/v1/auth/verify", token_hash=await mailing_deployment.token_hash(), type="signup"
    )
    assert verified.status_code == 200
    assert (await post(mailing_deployment, "/v1/auth/login", email=email, password=PASSWORD)).status_code == 200


async def test_password_is_recovered_with_the_mailed_link(mailing_deployment: Deployment) -> None:
    email = new_email()
    await post(mailing_deployment, "/v1/auth/signup", email=email, password=PASSWORD)
    await post(mailing_deployment, "/v1/auth/verify", token_hash=await mailing_deployment.token_hash(), type="signup")
    assert (await post(mailing_deployment, "/v1/auth/recover", email=email)).status_code == 200
    link = await mailing_deployment.token_hash()
    session = (await post(mailing_deployment, "/v1/auth/verify", token_hash=link, type="recovery")).json()
    async with mailing_deployment.client(session["access_token"]) as client:
        assert (await client.patch("/v1/auth/me", json={"password": NEW_PASSWORD})).status_code == 200
    assert (await post(mailing_deployment, "/v1/auth/login", email=email, password=PASSWORD)).status_code == 401
    assert (await post(mailing_deployment, "/v1/auth/login", email=email, password=NEW_PASSWORD)).status_code == 200
    used = await post(mailing_deployment, "/v1/auth/verify", token_hash=link, type="recovery")
    assert outcome(used) == (403, "otp_expired")


async def test_change_of_address_waits_for_both_confirmations(mailing_deployment: Deployment) -> None:
    email, other = new_email(), new_email()
    await post(mailing_deployment, "/v1/auth/signup", email=email, password=PASSWORD)
    verified = await post(
        mailing_deployment, "/v1/auth/verify", token_hash=await mailing_deployment.token_hash(), type="signup"
    )
    async with mailing_deployment.client(verified.json()["access_token"]) as client:
        changed = await client.patch("/v1/auth/me", json={"email": other})
    assert (changed.status_code, changed.json()["email"], changed.json()["new_email"]) == (200, email, other)
    links = [await mailing_deployment.token_hash(recipient) for recipient in (email, other)]
    first, second = [
        await post(mailing_deployment, "/v1/auth/verify", token_hash=link, type="email_change") for link in links
    ]
    assert (first.status_code, "access_token" in first.json()) == (202, False)
    assert (second.status_code, second.json()["user"]["email"]) == (200, other)
    assert (await post(mailing_deployment, "/v1/auth/login", email=other, password=PASSWORD)).status_code == 200
    former = await post(mailing_deployment, "/v1/auth/login", email=email, password=PASSWORD)
    assert outcome(former) == (401, "invalid_credentials")
    used = await post(mailing_deployment, "/v1/auth/verify", token_hash=links[1], type="email_change")
    assert outcome(used) == (403, "otp_expired")


async def test_refresh_token_is_used_once(deployment: Deployment) -> None:
    session = await sign_up(deployment)
    first = session["refresh_token"]
    second = (await post(deployment, "/v1/auth/refresh", refresh_token=first)).json()["refresh_token"]
    third = (await post(deployment, "/v1/auth/refresh", refresh_token=second)).json()["refresh_token"]
    assert len({first, second, third}) == 3
    await asyncio.sleep(REUSE_SECONDS)
    reused = await post(deployment, "/v1/auth/refresh", refresh_token=first)
    assert outcome(reused) == (401, "refresh_token_already_used")
    await asyncio.sleep(REUSE_SECONDS)
    assert (await post(deployment, "/v1/auth/refresh", refresh_token=third)).status_code == 401
    strange = await post(deployment, "/v1/auth/refresh", refresh_token="of another server")
    assert outcome(strange) == (401, "refresh_token_not_found")


async def test_signing_out_ends_sessions_of_the_scope(deployment: Deployment) -> None:
    email = new_email()
    mine = (await sign_up(deployment, email))["access_token"]
    other = (await post(deployment, "/v1/auth/login", email=email, password=PASSWORD)).json()["access_token"]
    assert (await post(deployment, "/v1/auth/logout", mine, scope="others")).status_code == 200
    assert (await get(deployment, "/v1/projects", other)).status_code == 401
    assert (await get(deployment, "/v1/projects", mine)).status_code == 200
    assert (await post(deployment, "/v1/auth/logout", mine, scope="global")).status_code == 200
    assert (await get(deployment, "/v1/projects", mine)).status_code == 401


async def test_person_deletes_their_account(deployment: Deployment) -> None:
    email = new_email()
    token = (await sign_up(deployment, email))["access_token"]
    async with deployment.client(token) as client:
        assert (await client.delete("/v1/auth/me")).status_code == 200
    assert (await get(deployment, "/v1/projects", token)).status_code == 401
    gone = await post(deployment, "/v1/auth/login", email=email, password=PASSWORD)
    assert outcome(gone) == (401, "invalid_credentials")


async def test_ban_ends_tokens_and_keys_until_it_ends(deployment: Deployment) -> None:
    email = new_email()
    session = await sign_up(deployment, email)
    token, account = session["access_token"], session["user"]["id"]
    made = await post(deployment, "/v1/api-keys", token, name="app", scopes=["projects:read"])
    key = made.json()["key"]
    admin = deployment.supabase(secret=True).admin
    await admin.update_user_by_id(account, {"ban_duration": "1h"})
    assert (await get(deployment, "/v1/projects", token)).status_code == 401
    assert (await get(deployment, "/v1/projects", key)).status_code == 401
    banned = await post(deployment, "/v1/auth/login", email=email, password=PASSWORD)
    assert outcome(banned) == (403, "user_banned")
    refused = await post(deployment, "/v1/auth/refresh", refresh_token=session["refresh_token"])
    assert refused.status_code in (401, 403)
    await admin.update_user_by_id(account, {"ban_duration": "none"})
    assert (await get(deployment, "/v1/projects", key)).status_code == 200


async def test_account_that_the_operator_deletes_is_erased_later(deployment: Deployment) -> None:
    session = await sign_up(deployment)
    token, account = session["access_token"], session["user"]["id"]
    project = (await get(deployment, "/v1/projects", token)).json()["results"][0]["id"]
    await deployment.supabase(secret=True).admin.delete_user(account)
    assert (await get(deployment, "/v1/projects", token)).status_code == 401
    await erase_deleted_accounts(deployment.resources.database)
    found = "select 1 from projects where id = :id"
    assert await deployment.operate(found, id=uuid.UUID(project)) == [(1,)]
    age = (
        "update private.deleted_accounts set found_at = found_at - make_interval(days => :days) where account_id = :id"
    )
    await deployment.operate(age, id=uuid.UUID(account), days=KEPT_DAYS + 1)
    await erase_deleted_accounts(deployment.resources.database)
    assert await deployment.operate(found, id=uuid.UUID(project)) == []


async def test_second_factor_raises_the_session(deployment: Deployment) -> None:
    email = new_email()
    await sign_up(deployment, email)
    client = deployment.supabase()
    await client.sign_in_with_password({"email": email, "password": PASSWORD})
    enrolled = await client.mfa.enroll({"factor_type": "totp"})
    assert enrolled.totp is not None
    code = code_at(enrolled.totp.secret, int(time.time()) // PERIOD_SECONDS)
    verified = await client.mfa.challenge_and_verify({"factor_id": enrolled.id, "code": code})
    assert (await get(deployment, "/v1/projects", verified.access_token)).status_code == 200
    level = await client.mfa.get_authenticator_assurance_level()
    assert (level.current_level, level.next_level) == ("aal2", "aal2")


async def test_second_factor_is_needed_to_administer(deployment: Deployment) -> None:
    email = new_email()
    await sign_up(deployment, email)
    client = deployment.supabase()
    await client.sign_in_with_password({"email": email, "password": PASSWORD})
    enrolled = await client.mfa.enroll({"factor_type": "totp"})
    assert enrolled.totp is not None
    code = code_at(enrolled.totp.secret, int(time.time()) // PERIOD_SECONDS)
    raised = await client.mfa.challenge_and_verify({"factor_id": enrolled.id, "code": code})
    lowered = (await post(deployment, "/v1/auth/login", email=email, password=PASSWORD)).json()["access_token"]
    refused = await post(deployment, "/v1/api-keys", lowered, name="app", scopes=["projects:read"])
    assert refused.status_code == 403
    made = await post(deployment, "/v1/api-keys", raised.access_token, name="app", scopes=["projects:read"])
    assert made.status_code == 201


async def test_anonymous_account_remembers_but_has_no_keys(mailing_deployment: Deployment) -> None:
    signed_in = await mailing_deployment.supabase().sign_in_anonymously()
    assert signed_in.session is not None
    token = signed_in.session.access_token
    added = await post(mailing_deployment, "/v3/memories/add/", token, messages="I live in Rome", infer=False)
    assert added.status_code == 200
    refused = await post(mailing_deployment, "/v1/api-keys", token, name="app", scopes=["projects:read"])
    assert outcome(refused) == (403, "anonymous_account")


async def test_invited_person_signs_in_with_the_link(mailing_deployment: Deployment) -> None:
    email = new_email()
    await mailing_deployment.supabase(secret=True).admin.invite_user_by_email(email)
    link = await mailing_deployment.token_hash()
    accepted = await post(mailing_deployment, "/v1/auth/verify", token_hash=link, type="invite")
    assert (accepted.status_code, accepted.json()["user"]["email"]) == (200, email)


async def test_hash_of_the_built_in_provider_signs_in(deployment: Deployment) -> None:
    """The move takes ids and password hashes along."""
    hasher = PasswordHasher()
    email, account = new_email(), str(uuid.uuid4())
    admin = deployment.supabase(secret=True).admin
    password_hash = await hasher.hash("pässword of before")
    hasher.close()
    attributes: Any = {"id": account, "email": email, "password_hash": password_hash, "email_confirm": True}
    await admin.create_user(attributes)
    moved = await post(deployment, "/v1/auth/login", email=email, password="pässword of before")
    assert (moved.status_code, moved.json()["user"]["id"]) == (200, account)


async def test_readiness_names_the_provider(deployment: Deployment) -> None:
    async with deployment.client() as client:
        ready = (await client.get("/v1/ready")).json()
    assert ready["checks"]["identity"] == "ok"
