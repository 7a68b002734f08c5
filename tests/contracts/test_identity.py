"""The contract of the Identity port: the embedded provider over its own routes, and a GoTrue played by respx."""

import datetime as dt
import uuid
from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import dataclass

import httpx
import pytest
import pytest_asyncio
import respx

from app.adapters.accounts.supabase import GoTrueIdentity
from app.core.database.database import Database
from app.core.errors import AppError
from app.core.ports.accounts import AccountChange, Identity, MailedLink, MailKind, ResendKind, SignOutScope
from app.core.ports.signed_in import Account, Factor, SignedIn
from tests.contracts.played_gotrue import URL, PlayedGoTrue
from tests.identity.local.authenticator import Authenticator
from tests.identity.local.conftest import (
    ISSUER,
    PASSWORD,
    SECRET,
    build_provider,
    close_provider,
    new_email,
)
from tests.patience import PATIENCE_SECONDS


@dataclass
class IdentityFixture:
    identity: Identity
    token_hash: Callable[[], Awaitable[str]]
    """The token hash of the last link that was sent."""


@pytest_asyncio.fixture(params=["local", "supabase"])
async def provided(request: pytest.FixtureRequest, database: Database) -> AsyncIterator[IdentityFixture]:
    async for made in open_identity_fixture(request.param, database, autoconfirm=True):
        yield made


@pytest_asyncio.fixture(params=["local", "supabase"])
async def provided_with_mail(request: pytest.FixtureRequest, database: Database) -> AsyncIterator[IdentityFixture]:
    """A provider that confirms addresses by e-mail."""
    async for made in open_identity_fixture(request.param, database, autoconfirm=False):
        yield made


async def open_identity_fixture(kind: str, database: Database, *, autoconfirm: bool) -> AsyncIterator[IdentityFixture]:
    if kind == "local":
        provider = build_provider(database, autoconfirm=autoconfirm)
        yield IdentityFixture(
            GoTrueIdentity(ISSUER, provider.http, publishable_key=SECRET, secret_key=SECRET), provider.token_hash
        )
        await close_provider(provider)
        return
    played = PlayedGoTrue(autoconfirm=autoconfirm)

    async def token_hash() -> str:
        return played.mailed[-1]

    with respx.mock:
        respx.route().mock(side_effect=played.answer)
        async with httpx.AsyncClient(timeout=PATIENCE_SECONDS) as http:
            yield IdentityFixture(GoTrueIdentity(URL, http, publishable_key="sb_p", secret_key="sb_s"), token_hash)


@pytest.fixture
def identity(provided: IdentityFixture) -> Identity:
    return provided.identity


async def refused(call: Awaitable[object]) -> tuple[int, str, str]:
    with pytest.raises(AppError) as caught:
        await call
    return caught.value.status, caught.value.reason, caught.value.detail


async def signed_up(identity: Identity, email: str | None = None) -> SignedIn:
    made = await identity.sign_up(email or new_email(), PASSWORD, {"name": "Ana"}, ip="203.0.113.7")
    assert isinstance(made, SignedIn)
    return made


async def test_signed_up_account_can_sign_in(identity: Identity) -> None:
    email = new_email()
    first = await signed_up(identity, email.upper())
    second = await identity.sign_in(email, PASSWORD, ip="203.0.113.7")
    assert second.account.id == first.account.id
    assert second.account.email == email
    assert second.account.metadata == {"name": "Ana"}
    assert second.access_token != first.access_token
    assert second.expires_in == 3600


async def test_wrong_password_and_unknown_address_have_the_same_error(identity: Identity) -> None:
    email = new_email()
    await signed_up(identity, email)
    wrong = await refused(identity.sign_in(email, "not the password"))
    unknown = await refused(identity.sign_in(new_email(), PASSWORD))
    assert wrong == unknown
    assert wrong[:2] == (401, "invalid_credentials")


async def test_address_has_one_account(identity: Identity) -> None:
    email = new_email()
    await signed_up(identity, email)
    assert (await refused(identity.sign_up(email, PASSWORD, {})))[:2] == (409, "user_already_exists")


async def test_weak_password_is_refused_with_advice(identity: Identity) -> None:
    status, code, sentence = await refused(identity.sign_up(new_email(), "short", {}))
    assert (status, code) == (422, "weak_password")
    assert "longer" in sentence


async def test_refresh_token_returns_a_new_session_of_the_account(identity: Identity) -> None:
    first = await signed_up(identity)
    second = await identity.refresh(first.refresh_token)
    assert second.account.id == first.account.id
    assert second.refresh_token != first.refresh_token


async def test_unknown_refresh_token_is_refused(identity: Identity) -> None:
    assert (await refused(identity.refresh("no-such-token")))[:2] == (401, "refresh_token_not_found")


async def test_sign_out_ends_only_its_own_session(identity: Identity) -> None:
    ana, ben = await signed_up(identity), await signed_up(identity)
    await identity.sign_out(ana.access_token, SignOutScope.LOCAL)
    assert (await refused(identity.get_account(ana.access_token)))[:2] == (401, "session_not_found")
    assert (await refused(identity.sign_out(ana.access_token, SignOutScope.LOCAL)))[0] == 401
    assert (await identity.get_account(ben.access_token)).id == ben.account.id


async def test_metadata_is_merged_and_null_removes_a_key(identity: Identity) -> None:
    ana = await signed_up(identity)
    await identity.update_account(ana.access_token, AccountChange(metadata={"town": "Graz"}))
    await identity.update_account(ana.access_token, AccountChange(metadata={"name": None}))
    assert (await identity.get_account(ana.access_token)).metadata == {"town": "Graz"}


async def test_changed_password_replaces_the_old_one(identity: Identity) -> None:
    ana = await signed_up(identity)
    await identity.update_account(ana.access_token, AccountChange(password="another fine password"))
    assert (await refused(identity.sign_in(ana.account.email, PASSWORD)))[0] == 401
    assert (await identity.sign_in(ana.account.email, "another fine password")).account.id == ana.account.id


async def test_same_password_is_refused(identity: Identity) -> None:
    ana = await signed_up(identity)
    change = AccountChange(password=PASSWORD)
    assert (await refused(identity.update_account(ana.access_token, change)))[:2] == (422, "same_password")


async def test_account_change_does_not_affect_other_accounts(identity: Identity) -> None:
    ana, ben = await signed_up(identity), await signed_up(identity)
    await identity.update_account(ana.access_token, AccountChange(metadata={"only": "ana"}))
    assert (await identity.get_account(ben.access_token)).metadata == {"name": "Ana"}


async def test_recovery_signs_in_without_the_password(provided: IdentityFixture) -> None:
    ana = await signed_up(provided.identity)
    await provided.identity.recover(ana.account.email)
    back = await provided.identity.verify(MailKind.RECOVERY, MailedLink(await provided.token_hash()))
    assert back is not None
    assert back.account.id == ana.account.id


async def test_recovery_and_resend_do_not_reveal_unknown_addresses(identity: Identity) -> None:
    await identity.recover(new_email())
    await identity.resend(ResendKind.SIGNUP, new_email())


async def test_unknown_link_is_refused(identity: Identity) -> None:
    assert (await refused(identity.verify(MailKind.SIGNUP, MailedLink("0" * 56))))[:2] == (403, "otp_expired")


async def test_unconfirmed_account_cannot_sign_in(provided_with_mail: IdentityFixture) -> None:
    email = new_email()
    made = await provided_with_mail.identity.sign_up(email, PASSWORD, {})
    assert isinstance(made, Account)
    assert made.confirmed_at is None
    assert (await refused(provided_with_mail.identity.sign_in(email, PASSWORD)))[:2] == (403, "email_not_confirmed")
    opened = await provided_with_mail.identity.verify(
        MailKind.SIGNUP, MailedLink(await provided_with_mail.token_hash())
    )
    assert opened is not None
    assert opened.account.id == made.id
    assert (await provided_with_mail.identity.sign_in(email, PASSWORD)).account.confirmed_at is not None


async def test_sign_up_with_a_taken_address_looks_new(provided_with_mail: IdentityFixture) -> None:
    email = new_email()
    first = await provided_with_mail.identity.sign_up(email, PASSWORD, {})
    assert isinstance(first, Account)
    await provided_with_mail.identity.verify(MailKind.SIGNUP, MailedLink(await provided_with_mail.token_hash()))
    again = await provided_with_mail.identity.sign_up(email, PASSWORD, {})
    assert isinstance(again, Account)
    assert again.id != first.id


async def test_admin_can_create_find_list_and_delete_accounts(identity: Identity) -> None:
    email, account_id = new_email(), uuid.uuid4()
    made = await identity.admin_create(email, password=PASSWORD, account_id=account_id)
    assert made.id == account_id
    assert made.confirmed_at is not None
    assert (await identity.admin_get(account_id)).email == email
    found = await identity.admin_find(email.upper())
    assert found is not None
    assert found.id == account_id
    assert await identity.admin_list(1, 1)
    assert (await identity.sign_in(email, PASSWORD)).account.id == account_id
    await identity.admin_delete(account_id)
    assert (await refused(identity.admin_get(account_id)))[:2] == (404, "user_not_found")
    assert (await refused(identity.sign_in(email, PASSWORD)))[0] == 401


async def test_admin_cannot_create_an_address_twice(identity: Identity) -> None:
    email = new_email()
    await identity.admin_create(email)
    assert (await refused(identity.admin_create(email)))[:2] == (409, "email_exists")


async def test_deleting_an_unknown_account_is_404(identity: Identity) -> None:
    assert (await refused(identity.admin_delete(uuid.uuid4())))[:2] == (404, "user_not_found")


async def test_page_after_the_last_is_empty(identity: Identity) -> None:
    assert await identity.admin_list(100_000, 100) == []
    assert await identity.admin_find(new_email()) is None


async def test_provider_without_confirmation_says_so(identity: Identity) -> None:
    assert not await identity.confirms_addresses()


async def test_provider_with_confirmation_says_so(provided_with_mail: IdentityFixture) -> None:
    assert await provided_with_mail.identity.confirms_addresses()


async def test_second_factor_raises_the_session(identity: Identity) -> None:
    email = new_email()
    first = await signed_up(identity, email)
    assert not first.second_factor_required
    made = await identity.factors.enroll(first.access_token, "Telephone", ip="203.0.113.7")
    assert made.qr_code.startswith("data:image/svg+xml;utf-8,<svg")
    assert made.secret in made.uri
    app = Authenticator(str(made.id), made.secret)
    wrong = identity.factors.verify(first.access_token, made.id, None, "000000x", ip="203.0.113.7")
    assert (await refused(wrong))[:2] == (422, "mfa_verification_failed")
    raised = await identity.factors.verify(first.access_token, made.id, None, app.next_code(), ip="203.0.113.7")
    assert not raised.second_factor_required
    assert raised.account.factors == (Factor(made.id, "totp", is_verified=True, name="Telephone"),)

    second = await identity.sign_in(email, PASSWORD, ip="203.0.113.7")
    assert second.second_factor_required
    challenge = await identity.factors.challenge(second.access_token, made.id, ip="203.0.113.7")
    assert challenge.expires_at > dt.datetime.now(dt.UTC)
    confirmed = await identity.factors.verify(
        second.access_token, made.id, challenge.id, app.next_code(), ip="203.0.113.7"
    )
    await identity.factors.unenroll(confirmed.access_token, made.id, ip="203.0.113.7")
    assert (await identity.get_account(confirmed.access_token)).factors == ()
    unknown = identity.factors.challenge(confirmed.access_token, made.id)
    assert (await refused(unknown))[:2] == (404, "mfa_factor_not_found")
