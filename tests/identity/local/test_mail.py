import asyncio

import pytest
from sqlalchemy import text
from structlog.testing import capture_logs
from supabase_auth.errors import AuthApiError
from supabase_auth.types import Session

from app.core.database.database import Database
from app.identity.local.mail.mailer import LogMailer, Mail, Outbox, SmtpMailer, SmtpSettings
from app.identity.local.mail.redirects import choose_redirect
from app.identity.local.settings import IdentitySettings
from tests.identity.local.conftest import ISSUER, PASSWORD, SECRET, MakeProvider, Provider, new_email


async def sign_up(provider: Provider, email: str) -> None:
    answer = await provider.client().sign_up({"email": email, "password": PASSWORD})
    assert answer.session is None


async def confirmed(provider: Provider, email: str) -> Session:
    await sign_up(provider, email)
    answer = await provider.client().verify_otp({"token_hash": await provider.token_hash(), "type": "signup"})
    assert answer.session is not None
    return answer.session


async def test_an_address_must_be_confirmed_before_it_signs_in(mailing: Provider) -> None:
    email = new_email()
    await sign_up(mailing, email)
    with pytest.raises(AuthApiError) as refused:
        await mailing.client().sign_in_with_password({"email": email, "password": PASSWORD})
    assert (refused.value.status, refused.value.code) == (400, "email_not_confirmed")
    with pytest.raises(AuthApiError) as refused:
        await mailing.client().sign_in_with_password({"email": email, "password": "wrong"})
    assert refused.value.code == "invalid_credentials"
    await mailing.client().verify_otp({"token_hash": await mailing.token_hash(), "type": "signup"})
    assert (await mailing.client().sign_in_with_password({"email": email, "password": PASSWORD})).session is not None


async def test_a_typed_code_confirms_too_and_works_once(mailing: Provider) -> None:
    email = new_email()
    await sign_up(mailing, email)
    code = await mailing.code()
    answer = await mailing.client().verify_otp({"email": email, "token": code, "type": "email"})
    assert answer.session is not None
    assert answer.session.user.email_confirmed_at is not None
    with pytest.raises(AuthApiError) as refused:
        await mailing.client().verify_otp({"email": email, "token": code, "type": "email"})
    assert (refused.value.status, refused.value.code) == (403, "otp_expired")


async def test_codes_cannot_be_guessed_at_leisure(make_provider: MakeProvider) -> None:
    from_defaults = await make_provider(autoconfirm=False)
    email = new_email()
    await sign_up(from_defaults, email)
    code = await from_defaults.code()
    wrong = f"{(int(code) + 1) % 1_000_000:06d}"
    for _ in range(10):
        with pytest.raises(AuthApiError) as refused:
            await from_defaults.client().verify_otp({"email": email, "token": wrong, "type": "signup"})
        assert refused.value.code == "otp_expired"
    with pytest.raises(AuthApiError) as refused:
        await from_defaults.client().verify_otp({"email": email, "token": code, "type": "signup"})
    assert refused.value.status == 429


async def test_a_stranger_cannot_tell_whether_an_address_has_an_account(mailing: Provider) -> None:
    email = new_email()
    known = await confirmed(mailing, email)
    sent = len(mailing.mailbox.mails)
    answer = await mailing.client().sign_up({"email": email, "password": "some other password"})
    fresh = await mailing.client().sign_up({"email": new_email(), "password": PASSWORD})
    assert answer.session is None
    assert answer.user is not None
    assert fresh.user is not None
    assert answer.user.id != known.user.id
    assert answer.user.identities == []
    assert answer.user.email == email
    await mailing.house.outbox.drain()
    assert [mail.to for mail in mailing.mailbox.mails[sent:]] == [fresh.user.email]
    with pytest.raises(AuthApiError):
        await mailing.client().sign_in_with_password({"email": email, "password": "some other password"})


async def test_signing_up_again_before_confirming_keeps_the_first_password(mailing: Provider) -> None:
    email = new_email()
    await sign_up(mailing, email)
    first = await mailing.token_hash()
    await mailing.client().sign_up({"email": email, "password": "some other password"})
    with pytest.raises(AuthApiError):
        await mailing.client().verify_otp({"token_hash": first, "type": "signup"})
    await mailing.client().verify_otp({"token_hash": await mailing.token_hash(), "type": "signup"})
    await mailing.client().sign_in_with_password({"email": email, "password": PASSWORD})


async def test_recovering_signs_in_so_that_a_new_password_can_be_chosen(provider: Provider) -> None:
    email = new_email()
    await provider.client().sign_up({"email": email, "password": PASSWORD})
    await provider.client().reset_password_for_email(email, {"redirect_to": "http://app.test/new"})
    assert (await provider.link()).params["redirect_to"] == "http://app.test/new"
    client = provider.client()
    answer = await client.verify_otp({"token_hash": await provider.token_hash(), "type": "recovery"})
    assert answer.session is not None
    await client.update_user({"password": "another fine password"})
    await provider.client().sign_in_with_password({"email": email, "password": "another fine password"})


async def test_recovering_an_unknown_address_looks_the_same_and_sends_nothing(provider: Provider) -> None:
    await provider.client().reset_password_for_email(new_email())
    await provider.house.outbox.drain()
    assert provider.mailbox.mails == []


async def test_mails_are_sent_one_at_a_time_to_known_and_unknown_alike(make_provider: MakeProvider) -> None:
    provider = await make_provider(mail_interval_seconds=60)
    known = new_email()
    await provider.client().sign_up({"email": known, "password": PASSWORD})
    for email in (known, new_email()):
        await provider.client().reset_password_for_email(email)
        with pytest.raises(AuthApiError, match="only request this after") as refused:
            await provider.client().reset_password_for_email(email)
        assert (refused.value.status, refused.value.code) == (429, "over_email_send_rate_limit")


async def test_a_token_grows_old(mailing: Provider, database: Database) -> None:
    await sign_up(mailing, email := new_email())
    async with database.system() as tx:
        aged = "update auth.one_time_tokens set created_at = created_at - interval '2 hours' where relates_to = :email"
        await tx.execute(text(aged), {"email": email})
    with pytest.raises(AuthApiError) as refused:
        await mailing.client().verify_otp({"token_hash": await mailing.token_hash(), "type": "signup"})
    assert refused.value.code == "otp_expired"


async def test_of_two_who_spend_a_token_at_once_one_gets_in(mailing: Provider) -> None:
    await sign_up(mailing, new_email())
    token = await mailing.token_hash()
    answers = await asyncio.gather(
        *(mailing.client().verify_otp({"token_hash": token, "type": "signup"}) for _ in range(3)),
        return_exceptions=True,
    )
    assert sum(isinstance(answer, AuthApiError) for answer in answers) == 2


async def test_a_token_of_one_kind_is_no_other(mailing: Provider) -> None:
    await sign_up(mailing, new_email())
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
async def test_incomplete_verifications_are_refused(mailing: Provider, body: dict[str, str]) -> None:
    answer = await mailing.http.post("/verify", json=body)
    assert (answer.status_code, answer.json()["error_code"]) == (400, "validation_failed")


async def test_confirmations_can_be_sent_again(mailing: Provider) -> None:
    email = new_email()
    await sign_up(mailing, email)
    await mailing.client().resend({"type": "signup", "email": email})
    await mailing.client().verify_otp({"token_hash": await mailing.token_hash(), "type": "signup"})
    assert len(mailing.mailbox.mails) == 2
    await mailing.client().resend({"type": "signup", "email": email})
    await mailing.client().resend({"type": "signup", "email": new_email()})
    await mailing.house.outbox.drain()
    assert len(mailing.mailbox.mails) == 2
    refused = await mailing.http.post("/resend", json={"type": "recovery", "email": email})
    assert refused.status_code == 400


async def test_a_new_address_must_be_confirmed_from_both(mailing: Provider) -> None:
    old, new = new_email(), new_email()
    session = await confirmed(mailing, old)
    client = mailing.client()
    await client.set_session(session.access_token, session.refresh_token)
    pending = (await client.update_user({"email": new})).user
    assert (pending.email, pending.new_email) == (old, new)
    await mailing.client().resend({"type": "email_change", "email": old})
    await mailing.house.outbox.drain()
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


async def test_an_address_taken_while_its_confirmation_was_on_the_way_stays_taken(make_provider: MakeProvider) -> None:
    provider = await make_provider(autoconfirm=False, secure_email_change=False)
    session, wanted = await confirmed(provider, new_email()), new_email()
    client = provider.client()
    await client.set_session(session.access_token, session.refresh_token)
    await client.update_user({"email": wanted})
    token = await provider.token_hash()
    await confirmed(provider, wanted)
    with pytest.raises(AuthApiError) as refused:
        await provider.client().verify_otp({"token_hash": token, "type": "email_change"})
    assert (refused.value.status, refused.value.code) == (422, "email_exists")


async def test_following_a_link_leads_to_the_site_with_a_session(mailing: Provider) -> None:
    await sign_up(mailing, new_email())
    answer = await mailing.http.get(await mailing.link())
    assert answer.status_code == 303
    target = answer.headers["Location"]
    assert target.startswith("http://app.test#access_token=")
    assert "type=signup" in target
    again = await mailing.http.get(await mailing.link())
    assert "error_code=otp_expired" in again.headers["Location"]


@pytest.mark.parametrize(
    ("wanted", "allowed"),
    [
        ("http://app.test/welcome", True),
        ("https://other.test/exact", True),
        ("https://deep.test/any/where", True),
        ("https://one.wild.test/", True),
        ("https://one.wild.test", True),
        ("https://open.test", True),
        ("https://open.test/any/where", True),
        ("https://open.test.evil.test/", False),
        ("https://open.test@evil.test/", False),
        ("https://open.test:1/", False),
        ("https://evil.test/", False),
        ("http://deep.test/any/where", False),
        ("https://evil.test/.wild.test/", False),
        ("https://evil.test?.wild.test/", False),
        ("https://evil.test#.wild.test/", False),
        ("https://evil.test\\.wild.test/", False),
        ("https://evil.test\t.wild.test/", False),
        ("http://app.test@evil.test/", False),
        ("http://app.test.evil.test/", False),
        ("http://app.test\\@evil.test/", False),
        ("//evil.test/", False),
        ("javascript:alert(1)", False),
        ("https://[", False),
        ("", False),
        (None, False),
    ],
)
def test_links_lead_only_where_the_operator_said(wanted: str | None, allowed: bool) -> None:
    redirects = ("https://other.test/exact", "https://deep.test/*", "https://*.wild.test/*", "https://open.test*")
    settings = IdentitySettings(ISSUER, "http://app.test", SECRET, redirect_urls=redirects)
    assert choose_redirect(settings, wanted) == (wanted if allowed else "http://app.test")


MAIL = Mail("a@example.com", "Subject", "Text", "http://app.test/link")


async def test_a_link_is_logged_in_development_only() -> None:
    with capture_logs() as logs:
        await LogMailer(development=True).send(MAIL)
        await LogMailer(development=False).send(MAIL)
    assert [log["event"] for log in logs] == ["identity.mail_link", "identity.mail_not_configured"]
    assert logs[0]["link"] == MAIL.link
    assert MAIL.link not in str(logs[1])


async def test_a_mail_server_that_is_away_is_logged_without_content() -> None:
    outbox = Outbox(SmtpMailer(SmtpSettings("127.0.0.1", 1, security="none")))
    with capture_logs() as logs:
        outbox.put(MAIL)
        await outbox.drain()
    assert [log["event"] for log in logs] == ["identity.mail_failed"]
    assert MAIL.to not in str(logs)


async def test_mail_goes_out_by_smtp() -> None:
    received: list[bytes] = []

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(b"220 here\r\n")
        while line := await reader.readline():
            received.append(line)
            verb = line[:4].upper()
            writer.write({b"DATA": b"354 go on\r\n", b"QUIT": b"221 bye\r\n"}.get(verb, b"250 ok\r\n"))
            if verb == b"DATA":
                received.append(await reader.readuntil(b"\r\n.\r\n"))
                writer.write(b"250 taken\r\n")
            if verb == b"QUIT":
                break
        await writer.drain()
        writer.close()

    server = await asyncio.start_server(serve, "127.0.0.1", 0)
    port = server.sockets[0].getsockname()[1]
    await SmtpMailer(SmtpSettings("127.0.0.1", port, security="none")).send(MAIL)
    server.close()
    said = b"".join(received).lower()
    assert b"rcpt to:<a@example.com>" in said
    assert b"subject: subject" in said
