import asyncio

import pytest
from sqlalchemy import text
from supabase_auth.errors import AuthApiError

from app.core.database.database import Database
from app.identity.local.security.lockout import LockoutLimits
from app.identity.local.storage.one_time_tokens import hash_code
from tests.identity.local.conftest import (
    PASSWORD,
    MakeProvider,
    Provider,
    new_email,
    sign_up_confirmed,
    sign_up_unconfirmed,
)


async def test_address_must_be_confirmed_before_sign_in(mailing: Provider) -> None:
    email = new_email()
    await sign_up_unconfirmed(mailing, email)
    with pytest.raises(AuthApiError) as refused:
        await mailing.client().sign_in_with_password({"email": email, "password": PASSWORD})
    assert (refused.value.status, refused.value.code) == (400, "email_not_confirmed")
    with pytest.raises(AuthApiError) as refused:
        await mailing.client().sign_in_with_password({"email": email, "password": "wrong"})
    assert refused.value.code == "invalid_credentials"
    await mailing.client().verify_otp({"token_hash": await mailing.token_hash(), "type": "signup"})
    assert (await mailing.client().sign_in_with_password({"email": email, "password": PASSWORD})).session is not None


async def test_typed_code_confirms_once(mailing: Provider) -> None:
    email = new_email()
    await sign_up_unconfirmed(mailing, email)
    code = await mailing.code()
    answer = await mailing.client().verify_otp({"email": email, "token": code, "type": "email"})
    assert answer.session is not None
    assert answer.session.user.email_confirmed_at is not None
    with pytest.raises(AuthApiError) as refused:
        await mailing.client().verify_otp({"email": email, "token": code, "type": "email"})
    assert (refused.value.status, refused.value.code) == (403, "otp_expired")


async def test_code_guesses_are_limited(make_provider: MakeProvider) -> None:
    provider = await make_provider(autoconfirm=False)
    email = new_email()
    await sign_up_unconfirmed(provider, email)
    code = await provider.code()
    wrong = f"{(int(code) + 1) % 1_000_000:06d}"
    for _ in range(10):
        with pytest.raises(AuthApiError) as refused:
            await provider.client().verify_otp({"email": email, "token": wrong, "type": "signup"})
        assert refused.value.code == "otp_expired"
    with pytest.raises(AuthApiError) as refused:
        await provider.client().verify_otp({"email": email, "token": code, "type": "signup"})
    assert refused.value.status == 429


async def test_sign_up_response_does_not_reveal_an_existing_account(mailing: Provider) -> None:
    email = new_email()
    known = await sign_up_confirmed(mailing, email)
    sent = len(mailing.mailbox.mails)
    answer = await mailing.client().sign_up({"email": email, "password": "some other password"})
    fresh = await mailing.client().sign_up({"email": new_email(), "password": PASSWORD})
    assert answer.session is None
    assert answer.user is not None
    assert fresh.user is not None
    assert answer.user.id != known.user.id
    assert answer.user.identities == []
    assert answer.user.email == email
    await mailing.identity.outbox.drain()
    assert [mail.to for mail in mailing.mailbox.mails[sent:]] == [fresh.user.email]
    with pytest.raises(AuthApiError):
        await mailing.client().sign_in_with_password({"email": email, "password": "some other password"})


async def test_repeated_sign_up_before_confirmation_keeps_the_first_password(mailing: Provider) -> None:
    email = new_email()
    await sign_up_unconfirmed(mailing, email)
    first = await mailing.token_hash()
    await mailing.client().sign_up({"email": email, "password": "some other password"})
    with pytest.raises(AuthApiError):
        await mailing.client().verify_otp({"token_hash": first, "type": "signup"})
    await mailing.client().verify_otp({"token_hash": await mailing.token_hash(), "type": "signup"})
    await mailing.client().sign_in_with_password({"email": email, "password": PASSWORD})


async def test_token_expires(mailing: Provider, database: Database) -> None:
    await sign_up_unconfirmed(mailing, email := new_email())
    async with database.system() as tx:
        aged = "update auth.one_time_tokens set created_at = created_at - interval '2 hours' where relates_to = :email"
        await tx.execute(text(aged), {"email": email})
    with pytest.raises(AuthApiError) as refused:
        await mailing.client().verify_otp({"token_hash": await mailing.token_hash(), "type": "signup"})
    assert refused.value.code == "otp_expired"


async def test_token_used_concurrently_works_once(mailing: Provider) -> None:
    await sign_up_unconfirmed(mailing, new_email())
    token = await mailing.token_hash()
    answers = await asyncio.gather(
        *(mailing.client().verify_otp({"token_hash": token, "type": "signup"}) for _ in range(3)),
        return_exceptions=True,
    )
    assert sum(isinstance(answer, AuthApiError) for answer in answers) == 2


async def test_token_works_for_its_own_type_only(mailing: Provider) -> None:
    await sign_up_unconfirmed(mailing, new_email())
    token = await mailing.token_hash()
    with pytest.raises(AuthApiError) as refused:
        await mailing.client().verify_otp({"token_hash": token, "type": "recovery"})
    assert refused.value.code == "otp_expired"


@pytest.mark.parametrize(
    "body",
    [
        {"type": "signup"},
        {"type": "sms", "token": "123456", "phone": "+49123"},
        {"type": "signup", "token": "123456"},
        {"type": "signup", "token": "123456", "email": "nobody"},
        {},
    ],
)
async def test_incomplete_verification_is_refused(mailing: Provider, body: dict[str, str]) -> None:
    answer = await mailing.http.post("/verify", json=body)
    assert (answer.status_code, answer.json()["error_code"]) == (400, "validation_failed")


async def test_email_change_must_be_confirmed_by_both_addresses(mailing: Provider) -> None:
    old, new = new_email(), new_email()
    session = await sign_up_confirmed(mailing, old)
    client = mailing.client()
    await client.set_session(session.access_token, session.refresh_token)
    pending = (await client.update_user({"email": new})).user
    assert (pending.email, pending.new_email) == (old, new)
    await mailing.client().resend({"type": "email_change", "email": old})
    await mailing.identity.outbox.drain()
    by_address = {mail.to: mail for mail in mailing.mailbox.mails}
    codes = {address: mail.text.split("code: ")[1][:6] for address, mail in by_address.items()}
    half = await mailing.client().verify_otp({"email": new, "token": codes[new], "type": "email_change"})
    assert half.session is None
    assert (await client.get_user()).user.email == old  # type: ignore[union-attr]
    whole = await mailing.client().verify_otp({"email": old, "token": codes[old], "type": "email_change"})
    assert whole.session is not None
    assert whole.session.user.email == new
    assert whole.session.user.new_email is None
    assert whole.session.user.identities is not None
    assert whole.session.user.identities[0].identity_data["email"] == new


async def test_email_change_fails_if_the_address_was_taken_meanwhile(make_provider: MakeProvider) -> None:
    provider = await make_provider(autoconfirm=False, secure_email_change=False)
    session, new_address = await sign_up_confirmed(provider, new_email()), new_email()
    client = provider.client()
    await client.set_session(session.access_token, session.refresh_token)
    await client.update_user({"email": new_address})
    token = await provider.token_hash()
    await sign_up_confirmed(provider, new_address)
    with pytest.raises(AuthApiError) as refused:
        await provider.client().verify_otp({"token_hash": token, "type": "email_change"})
    assert (refused.value.status, refused.value.code) == (422, "email_exists")


async def test_link_redirects_to_the_site_with_a_session(mailing: Provider) -> None:
    await sign_up_unconfirmed(mailing, new_email())
    answer = await mailing.http.get(await mailing.link())
    assert answer.status_code == 303
    target = answer.headers["Location"]
    assert target.startswith("http://app.test#access_token=")
    assert "type=signup" in target
    again = await mailing.http.get(await mailing.link())
    assert "error_code=otp_expired" in again.headers["Location"]


async def test_link_cannot_be_computed_from_the_address_and_the_code(mailing: Provider, database: Database) -> None:
    email = new_email()
    await sign_up_unconfirmed(mailing, email)
    code, link_token = await mailing.code(), await mailing.token_hash()
    guessable = hash_code(email, code)
    assert link_token != guessable
    assert len(bytes.fromhex(link_token)) == 32
    for wrong in (guessable, code):
        with pytest.raises(AuthApiError) as refused:
            await mailing.client().verify_otp({"token_hash": wrong, "type": "signup"})
        assert refused.value.code == "otp_expired"
    async with database.system() as tx:
        stored = set(await tx.scalars(text("select token_hash from auth.one_time_tokens")))
    assert {link_token, code, guessable}.isdisjoint(stored)
    await mailing.client().verify_otp({"token_hash": link_token, "type": "signup"})


async def test_code_and_link_of_one_mail_work_once_together(mailing: Provider) -> None:
    email = new_email()
    await sign_up_unconfirmed(mailing, email)
    token = await mailing.token_hash()
    await mailing.client().verify_otp({"email": email, "token": await mailing.code(), "type": "email"})
    with pytest.raises(AuthApiError) as refused:
        await mailing.client().verify_otp({"token_hash": token, "type": "email"})
    assert refused.value.code == "otp_expired"


@pytest.mark.parametrize("way", ["post", "get"])
async def test_link_guesses_are_limited_per_address(make_provider: MakeProvider, way: str) -> None:
    limits = LockoutLimits(guesses_per_address=20, requests_per_address=10_000)
    provider = await make_provider(autoconfirm=False, limits=limits)
    await sign_up_unconfirmed(provider, new_email())
    token = await provider.token_hash()
    for number in range(20):
        wrong = hash_code("someone", str(number))
        if way == "post":
            answer = await provider.http.post("/verify", json={"type": "signup", "token_hash": wrong})
            assert (answer.status_code, answer.json()["error_code"]) == (403, "otp_expired")
        else:
            answer = await provider.http.get("/verify", params={"type": "signup", "token": wrong})
            assert "error_code=otp_expired" in answer.headers["Location"]
    with pytest.raises(AuthApiError) as refused:
        await provider.client().verify_otp({"token_hash": token, "type": "signup"})
    assert refused.value.status == 429


async def test_code_guesses_are_limited_in_total_and_links_go_on(make_provider: MakeProvider) -> None:
    limits = LockoutLimits(code_guesses_in_total=5, free_guesses=1_000, requests_per_address=10_000)
    provider = await make_provider(autoconfirm=False, limits=limits)
    await sign_up_unconfirmed(provider, new_email())
    token = await provider.token_hash()
    wrong = {"type": "email", "token": "000000"}
    answers = [await provider.http.post("/verify", json={**wrong, "email": new_email()}) for _ in range(6)]
    assert [answer.status_code for answer in answers] == [403] * 5 + [429]
    assert (await provider.client().verify_otp({"token_hash": token, "type": "signup"})).session is not None


async def test_correct_codes_and_links_are_not_counted(make_provider: MakeProvider) -> None:
    limits = LockoutLimits(code_guesses_in_total=1, guesses_per_address=1, requests_per_address=10_000)
    provider = await make_provider(autoconfirm=False, limits=limits)
    for _ in range(3):
        await sign_up_confirmed(provider, new_email())
        await sign_up_unconfirmed(provider, email := new_email())
        proof = {"email": email, "token": await provider.code(), "type": "email"}
        assert (await provider.http.post("/verify", json=proof)).status_code == 200
