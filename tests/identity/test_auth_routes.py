"""/v1/auth over HTTP, with the embedded identity provider and with Supabase."""

import itertools
import uuid
from collections.abc import AsyncIterator
from dataclasses import replace
from ipaddress import IPv6Address

import httpx
import pytest
import pytest_asyncio
import respx
from fastapi import FastAPI
from sqlalchemy import text
from structlog.testing import capture_logs

from app.adapters.accounts.supabase import GoTrueIdentity
from app.core.database.database import Database
from app.core.resources import Resources
from app.identity.local.provider import local_issuer
from app.identity.tokens import Verifier
from app.main import create_app
from tests.adapters.accounts.gotrue import refusal
from tests.conftest import PASSWORD, SignUp
from tests.contracts.played_gotrue import URL, PlayedGoTrue
from tests.identity.local.conftest import (
    ISSUER,
    SECRET,
    Provider,
    build_provider,
    close_provider,
    new_email,
)
from tests.patience import PATIENCE_SECONDS

SESSION_FIELDS = {"access_token", "refresh_token", "token_type", "expires_in", "user"}
NEW_PASSWORD = "another fine password"


def open_client_at(app: FastAPI, ip: str | None = None) -> httpx.AsyncClient:
    """Each client has an IP address of its own, because the provider counts requests per address."""
    address = ip or str(IPv6Address(uuid.uuid4().int))
    transport = httpx.ASGITransport(app=app, raise_app_exceptions=False, client=(address, 1))
    return httpx.AsyncClient(transport=transport, base_url="http://test", timeout=30)


@pytest_asyncio.fixture
async def anonymous(app: FastAPI) -> AsyncIterator[httpx.AsyncClient]:
    async with open_client_at(app) as client:
        yield client


@pytest_asyncio.fixture
async def mailing(database: Database) -> AsyncIterator[Provider]:
    provider = build_provider(database, autoconfirm=False)
    yield provider
    await close_provider(provider)


@pytest_asyncio.fixture
async def confirming(mailing: Provider, resources: Resources) -> AsyncIterator[httpx.AsyncClient]:
    """The app of an installation that confirms addresses by e-mail."""
    identity = GoTrueIdentity(ISSUER, mailing.http, publishable_key=SECRET, secret_key=SECRET)
    tokens = Verifier([local_issuer(mailing.identity.keys, ISSUER)])
    async with open_client_at(create_app(replace(resources, identity=identity, tokens=tokens))) as client:
        yield client


@pytest_asyncio.fixture
async def supabase(resources: Resources) -> AsyncIterator[httpx.AsyncClient]:
    """The app of an installation with accounts in Supabase."""
    async with httpx.AsyncClient(timeout=PATIENCE_SECONDS) as http:
        identity = GoTrueIdentity(URL, http, publishable_key="sb_p", secret_key="sb_s")
        async with open_client_at(create_app(replace(resources, identity=identity)), "203.0.113.9") as client:
            yield client


def bearer(token: str) -> dict[str, str]:
    return {"Authorization": f"Bearer {token}"}


# Sign-up, sign-in and sign-out


async def test_sign_up_returns_a_session(anonymous: httpx.AsyncClient) -> None:
    email = new_email()
    body = {"email": email, "password": PASSWORD, "metadata": {"name": "Ana"}}
    response = await anonymous.post("/v1/auth/signup", json=body)
    assert response.status_code == 200
    answer = response.json()
    assert set(answer) >= SESSION_FIELDS
    assert (answer["token_type"], answer["expires_in"]) == ("bearer", 3600)
    assert answer["user"]["email"] == email
    me = await anonymous.get("/v1/auth/me", headers=bearer(answer["access_token"]))
    assert (me.json()["id"], me.json()["metadata"]) == (answer["user"]["id"], {"name": "Ana"})


async def test_login_ignores_case_and_spaces_of_the_address(sign_up: SignUp, anonymous: httpx.AsyncClient) -> None:
    ana = await sign_up()
    response = await anonymous.post("/v1/auth/login", json={"email": f" {ana.email.upper()} ", "password": PASSWORD})
    assert response.status_code == 200
    assert set(response.json()) >= SESSION_FIELDS
    assert response.json()["user"]["id"] == str(ana.account_id)


async def test_login_answers_wrong_passwords_and_unknown_addresses_alike(
    sign_up: SignUp, anonymous: httpx.AsyncClient
) -> None:
    ana = await sign_up()
    wrong = await anonymous.post("/v1/auth/login", json={"email": ana.email, "password": "wrong"})
    unknown = await anonymous.post("/v1/auth/login", json={"email": new_email(), "password": "wrong"})
    assert wrong.status_code == unknown.status_code == 401
    assert {**wrong.json(), "request_id": ""} == {**unknown.json(), "request_id": ""}
    assert wrong.json()["code"] == "invalid_credentials"


async def test_sign_up_with_a_taken_address_is_409_and_with_a_weak_password_422(
    sign_up: SignUp, anonymous: httpx.AsyncClient
) -> None:
    ana = await sign_up()
    taken = await anonymous.post("/v1/auth/signup", json={"email": ana.email, "password": PASSWORD})
    assert (taken.status_code, taken.json()["code"]) == (409, "user_already_exists")
    weak = await anonymous.post("/v1/auth/signup", json={"email": new_email(), "password": "x"})
    assert (weak.status_code, weak.json()["code"]) == (422, "weak_password")
    assert "longer" in weak.json()["detail"]


@pytest.mark.parametrize("password", ["ä" * 37, "x" * 73, "nul\0inside", "\N{GRINNING FACE}" * 19])
async def test_password_that_bcrypt_cannot_hash_is_422_at_sign_up_and_401_at_login(
    password: str, anonymous: httpx.AsyncClient
) -> None:
    body = {"email": new_email(), "password": password}
    refused = await anonymous.post("/v1/auth/signup", json=body)
    assert refused.status_code == 422
    assert "72 bytes" in refused.json()["detail"]
    assert (await anonymous.post("/v1/auth/login", json=body)).status_code == 401


@pytest.mark.parametrize(
    "body",
    [
        b"{}",
        b"not json",
        b'{"email": "no-at-sign", "password": "correct horse"}',
        b'{"email": "a@b.co", "password": ""}',
        b'{"email": "a\\u0000@b.co", "password": "correct horse"}',
        b'{"email": "a@b.co", "password": "\\ud800\\ud800\\ud800"}',
        b'{"email": "a@b.co", "password": "correct horse", "metadata": {"a": "\\u0000"}}',
        b'{"email": "a@b.co", "password": "correct horse", "metadata": {"a": "\\ud800"}}',
        b'{"email": "a@b.co", "password": "correct horse", "metadata": {"a": Infinity}}',
        b'{"email": "a@b.co", "password": "correct horse", "metadata": {"a": "' + b"x" * 9000 + b'"}}',
    ],
    ids=lambda body: repr(body[:60]),
)
async def test_invalid_body_is_422_with_a_sentence(body: bytes, anonymous: httpx.AsyncClient) -> None:
    headers = {"Content-Type": "application/json"}
    response = await anonymous.post("/v1/auth/signup", content=body, headers=headers)
    assert response.status_code == 422
    assert " " in response.json()["detail"]
    assert "correct horse" not in response.text


async def test_refresh_returns_new_tokens(sign_up: SignUp, anonymous: httpx.AsyncClient) -> None:
    ana = await sign_up()
    body = {"refresh_token": ana.tokens["refresh_token"]}
    answer = (await anonymous.post("/v1/auth/refresh", json=body)).json()
    assert set(answer) >= SESSION_FIELDS
    assert answer["refresh_token"] != ana.tokens["refresh_token"]
    unknown = await anonymous.post("/v1/auth/refresh", json={"refresh_token": "never issued"})
    assert (unknown.status_code, unknown.json()["code"]) == (401, "refresh_token_not_found")


async def test_logout_acts_immediately_and_returns_json(sign_up: SignUp, anonymous: httpx.AsyncClient) -> None:
    ana = await sign_up()
    response = await ana.client.post("/v1/auth/logout")
    assert response.status_code == 200
    assert response.json()["message"]
    assert (await ana.client.get("/v1/projects")).status_code == 401
    body = {"refresh_token": ana.tokens["refresh_token"]}
    assert (await anonymous.post("/v1/auth/refresh", json=body)).status_code == 401


@pytest.mark.parametrize(
    ("scope", "mine", "other"), [("local", 401, 200), ("others", 200, 401), ("global", 401, 401), (None, 401, 200)]
)
async def test_logout_ends_the_sessions_of_its_scope(
    scope: str | None, mine: int, other: int, sign_up: SignUp, anonymous: httpx.AsyncClient
) -> None:
    ana = await sign_up()
    second = await anonymous.post("/v1/auth/login", json={"email": ana.email, "password": PASSWORD})
    await ana.client.post("/v1/auth/logout", json={"scope": scope} if scope else {})
    assert (await ana.client.get("/v1/auth/me")).status_code == mine
    elsewhere = await anonymous.get("/v1/auth/me", headers=bearer(second.json()["access_token"]))
    assert elsewhere.status_code == other


# E-mails


async def test_sign_up_is_202_until_the_address_is_confirmed(confirming: httpx.AsyncClient, mailing: Provider) -> None:
    body = {"email": new_email(), "password": PASSWORD}
    made = await confirming.post("/v1/auth/signup", json=body)
    assert made.status_code == 202
    assert made.json()["confirmation_required"] is True
    assert made.json()["user"]["email"] == body["email"]
    assert "access_token" not in made.json()
    early = await confirming.post("/v1/auth/login", json=body)
    assert (early.status_code, early.json()["code"]) == (403, "email_not_confirmed")
    proof = {"type": "signup", "token_hash": await mailing.token_hash()}
    opened = await confirming.post("/v1/auth/verify", json=proof)
    assert opened.status_code == 200
    assert set(opened.json()) >= SESSION_FIELDS
    again = await confirming.post("/v1/auth/verify", json=proof)
    assert (again.status_code, again.json()["code"]) == (403, "otp_expired")
    assert (await confirming.post("/v1/auth/login", json=body)).status_code == 200


async def test_typed_code_confirms_the_address(confirming: httpx.AsyncClient, mailing: Provider) -> None:
    email = new_email()
    await confirming.post("/v1/auth/signup", json={"email": email, "password": PASSWORD})
    proof = {"type": "signup", "email": email, "token": await mailing.code()}
    assert (await confirming.post("/v1/auth/verify", json=proof)).status_code == 200


@pytest.mark.parametrize(
    "proof", [{}, {"email": "a@b.co"}, {"token": "1"}, {"token_hash": "x", "email": "a@b.co", "token": "1"}], ids=repr
)
async def test_verify_requires_a_link_or_a_code(proof: dict[str, str], anonymous: httpx.AsyncClient) -> None:
    response = await anonymous.post("/v1/auth/verify", json={"type": "signup", **proof})
    assert response.status_code == 422
    assert "token_hash" in response.json()["detail"]


async def test_recovery_email_allows_a_new_password(confirming: httpx.AsyncClient, mailing: Provider) -> None:
    email = new_email()
    await confirming.post("/v1/auth/signup", json={"email": email, "password": PASSWORD})
    await confirming.post("/v1/auth/verify", json={"type": "signup", "token_hash": await mailing.token_hash()})
    assert (await confirming.post("/v1/auth/recover", json={"email": email})).status_code == 200
    proof = {"type": "recovery", "token_hash": await mailing.token_hash()}
    session = (await confirming.post("/v1/auth/verify", json=proof)).json()
    headers = bearer(session["access_token"])
    changed = await confirming.patch("/v1/auth/me", json={"password": NEW_PASSWORD}, headers=headers)
    assert changed.status_code == 200
    assert (await confirming.post("/v1/auth/login", json={"email": email, "password": PASSWORD})).status_code == 401
    body = {"email": email, "password": NEW_PASSWORD}
    assert (await confirming.post("/v1/auth/login", json=body)).status_code == 200


async def test_email_change_needs_both_confirmations(confirming: httpx.AsyncClient, mailing: Provider) -> None:
    old, new = new_email(), new_email()
    await confirming.post("/v1/auth/signup", json={"email": old, "password": PASSWORD})
    proof = {"type": "signup", "token_hash": await mailing.token_hash()}
    headers = bearer((await confirming.post("/v1/auth/verify", json=proof)).json()["access_token"])
    changed = (await confirming.patch("/v1/auth/me", json={"email": new}, headers=headers)).json()
    assert (changed["email"], changed["new_email"]) == (old, new)
    await mailing.identity.outbox.drain()
    links = [httpx.URL(mail.link).params["token"] for mail in mailing.mailbox.mails[-2:]]
    half = await confirming.post("/v1/auth/verify", json={"type": "email_change", "token_hash": links[0]})
    assert half.status_code == 202
    assert "other address" in half.json()["message"]
    whole = await confirming.post("/v1/auth/verify", json={"type": "email_change", "token_hash": links[1]})
    assert (whole.status_code, whole.json()["user"]["email"]) == (200, new)


@pytest.mark.parametrize("path", ["recover", "resend"])
async def test_email_requests_are_answered_alike_for_known_and_unknown_addresses(
    path: str, sign_up: SignUp, anonymous: httpx.AsyncClient
) -> None:
    ana = await sign_up()
    known = await anonymous.post(f"/v1/auth/{path}", json={"email": ana.email})
    unknown = await anonymous.post(f"/v1/auth/{path}", json={"email": new_email()})
    assert known.status_code == unknown.status_code == 200
    assert known.json() == unknown.json()
    again = [await anonymous.post(f"/v1/auth/{path}", json={"email": ana.email}) for _ in range(3)]
    assert {response.status_code for response in again} == {200}


# The own account


async def test_account_can_be_changed(sign_up: SignUp, anonymous: httpx.AsyncClient) -> None:
    ana, moved = await sign_up(), new_email()
    changes = {"email": moved, "password": NEW_PASSWORD, "current_password": PASSWORD, "metadata": {"town": "Graz"}}
    changed = await ana.client.patch("/v1/auth/me", json=changes)
    assert changed.status_code == 200
    assert (changed.json()["email"], changed.json()["metadata"]) == (moved, {"town": "Graz"})
    body = {"email": moved, "password": NEW_PASSWORD}
    assert (await anonymous.post("/v1/auth/login", json=body)).json()["user"]["id"] == str(ana.account_id)


async def test_invalid_account_change_has_a_specific_error(sign_up: SignUp) -> None:
    ana, ben = await sign_up(), await sign_up()

    async def refused(**changes: object) -> tuple[int, str]:
        response = await ana.client.patch("/v1/auth/me", json=changes)
        return response.status_code, response.json()["code"]

    assert await refused() == (422, "invalid_request")
    assert await refused(password=PASSWORD) == (422, "same_password")
    assert await refused(password="x") == (422, "weak_password")
    assert await refused(password=NEW_PASSWORD, current_password="wrong") == (403, "current_password_invalid")
    assert await refused(email=ben.email) == (409, "email_exists")


async def test_api_key_cannot_use_account_routes(client: httpx.AsyncClient) -> None:
    answers = [
        await client.get("/v1/auth/me"),
        await client.delete("/v1/auth/me"),
        await client.post("/v1/auth/logout"),
    ]
    assert {response.status_code for response in answers} == {403}


async def test_account_deletion_erases_its_own_projects_only(
    sign_up: SignUp, anonymous: httpx.AsyncClient, database: Database
) -> None:
    ana, ben = await sign_up(), await sign_up()
    response = await ana.client.delete("/v1/auth/me")
    assert (response.status_code, bool(response.json()["message"])) == (200, True)
    assert (await ana.client.get("/v1/auth/me")).status_code == 401
    login = await anonymous.post("/v1/auth/login", json={"email": ana.email, "password": PASSWORD})
    assert login.status_code == 401
    async with database.system() as tx:
        left = text("select count(*) from projects where id = :id")
        assert await tx.scalar(left, {"id": ana.project_id}) == 0
        assert await tx.scalar(left, {"id": ben.project_id}) == 1
    assert (await anonymous.post("/v1/auth/signup", json={"email": ana.email, "password": PASSWORD})).status_code == 200


async def test_account_deletion_erases_nothing_without_admin_access(sign_up: SignUp, resources: Resources) -> None:
    ana = await sign_up()
    assert resources.identity_app
    transport = httpx.ASGITransport(app=resources.identity_app)
    async with httpx.AsyncClient(transport=transport, timeout=PATIENCE_SECONDS) as http:
        without_admin = GoTrueIdentity("http://identity.local", http, publishable_key="sb_publishable")
        client = open_client_at(create_app(replace(resources, identity=without_admin)))
        refused = await client.delete("/v1/auth/me", headers=bearer(ana.tokens["access_token"]))
        await client.aclose()
    assert (refused.status_code, refused.json()["code"]) == (503, "secret_key_missing")
    projects = (await ana.client.get("/v1/projects")).json()["results"]
    assert [project["id"] for project in projects] == [str(ana.project_id)]


# Rate limits

LIMITED = [
    ("POST", "/v1/auth/signup", {"email": "a@b.co", "password": "x"}),
    ("POST", "/v1/auth/login", {"email": "nobody@b.co", "password": "x"}),
    ("POST", "/v1/auth/refresh", {"refresh_token": "x"}),
    ("POST", "/v1/auth/recover", {"email": "nobody@b.co"}),
    ("POST", "/v1/auth/resend", {"email": "nobody@b.co"}),
    ("POST", "/v1/auth/verify", {"type": "signup", "token_hash": "x"}),
    ("POST", "/v1/auth/logout", {"scope": "others"}),
    ("PATCH", "/v1/auth/me", {"metadata": {}}),
]


@pytest.mark.parametrize(("method", "path", "body"), LIMITED)
async def test_auth_routes_are_rate_limited_per_ip_address(
    method: str, path: str, body: dict[str, object], resources: Resources, sign_up: SignUp
) -> None:
    values = replace(resources.config, auth_limit="3/minute")
    app, headers = create_app(replace(resources, config=values)), bearer((await sign_up()).tokens["access_token"])
    async with open_client_at(app, "198.51.100.77") as limited, open_client_at(app, "198.51.100.78") as other:
        answers = [await limited.request(method, path, json=body, headers=headers) for _ in range(4)]
        assert 429 not in [response.status_code for response in answers[:3]]
        assert (answers[3].status_code, answers[3].json()["code"]) == (429, "rate_limited")
        assert int(answers[3].headers["Retry-After"]) > 0
        assert (await other.request(method, path, json=body, headers=headers)).status_code != 429


# Supabase


@respx.mock
async def test_supabase_responses_have_the_same_shapes(
    supabase: httpx.AsyncClient, anonymous: httpx.AsyncClient
) -> None:
    played = PlayedGoTrue()
    respx.route(host="played.supabase.co").mock(side_effect=played.answer)
    body = {"email": new_email(), "password": PASSWORD}
    for path in ("signup", "login"):
        there = await supabase.post(f"/v1/auth/{path}", json=body)
        here = await anonymous.post(f"/v1/auth/{path}", json=body)
        assert there.status_code == here.status_code == 200
        assert there.json().keys() == here.json().keys()
        assert there.json()["user"].keys() == here.json()["user"].keys()
        refresh = {"refresh_token": there.json()["refresh_token"]}
        assert (await supabase.post("/v1/auth/refresh", json=refresh)).status_code == 200
    wrong = {"email": body["email"], "password": "wrong"}
    there, here = [await client.post("/v1/auth/login", json=wrong) for client in (supabase, anonymous)]
    assert there.status_code == here.status_code == 401
    assert {**there.json(), "request_id": ""} == {**here.json(), "request_id": ""}


@respx.mock
async def test_supabase_email_limit_is_not_revealed(supabase: httpx.AsyncClient) -> None:
    respx.post(f"{URL}/recover").mock(return_value=refusal(429, "over_email_send_rate_limit", "after 42 seconds"))
    assert (await supabase.post("/v1/auth/recover", json={"email": new_email()})).status_code == 200


@respx.mock
async def test_supabase_receives_the_ip_address_of_the_client(supabase: httpx.AsyncClient) -> None:
    route = respx.post(f"{URL}/token").mock(return_value=refusal(400, "invalid_credentials"))
    await supabase.post("/v1/auth/login", json={"email": new_email(), "password": "x"})
    assert route.calls.last.request.headers["Sb-Forwarded-For"] == "203.0.113.9"


@respx.mock
async def test_unavailable_supabase_is_503_and_logs_no_content(
    supabase: httpx.AsyncClient,
) -> None:
    respx.post(f"{URL}/token").mock(side_effect=httpx.ConnectError("down"))
    secret = f"sentinel-{uuid.uuid4()}"
    with capture_logs() as logs:
        response = await supabase.post("/v1/auth/login", json={"email": f"{secret}@b.co", "password": secret})
    assert (response.status_code, response.json()["code"]) == (503, "identity_unavailable")
    assert response.json().keys() == {"detail", "code", "request_id"}
    assert "identity.failed" in [line["event"] for line in logs]
    assert secret not in str(logs)


@respx.mock
async def test_closed_server_signs_nobody_up_although_supabase_would(resources: Resources) -> None:
    played = PlayedGoTrue()
    route = respx.route(host="played.supabase.co").mock(side_effect=played.answer)
    async with httpx.AsyncClient(timeout=PATIENCE_SECONDS) as http:
        identity = GoTrueIdentity(URL, http, publishable_key="sb_p", secret_key="sb_s")
        closed = replace(resources, identity=identity, config=replace(resources.config, sign_up_is_open=False))
        async with open_client_at(create_app(closed)) as client:
            body = {"email": new_email(), "password": PASSWORD}
            refused = await client.post("/v1/auth/signup", json=body)
            assert (refused.status_code, refused.json()["code"]) == (403, "signup_disabled")
            assert refused.json()["detail"] == "Sign-ups are disabled. Ask the operator for an account."
            assert not route.called
            await identity.admin_create(body["email"], password=PASSWORD)
            assert (await client.post("/v1/auth/login", json=body)).status_code == 200, "the operator added it"


CALLS_WITHOUT_TOKEN = {
    "signup": {"email": "a@b.co", "password": PASSWORD},
    "login": {"email": "a@b.co", "password": PASSWORD},
    "refresh": {"refresh_token": "r"},
    "recover": {"email": "a@b.co"},
    "resend": {"email": "a@b.co", "type": "signup"},
    "verify": {"token_hash": "h", "type": "signup"},
}


FAILURES_OF_A_GATEWAY = (
    httpx.ConnectError("refused"),
    httpx.ReadTimeout("slow"),
    httpx.Response(502, text="<html>Bad gateway</html>", headers={"Retry-After": "30"}),
    httpx.Response(429, text="<html>Too many requests</html>", headers={"Retry-After": "30"}),
    httpx.Response(200, text='{"access_token": "ey'),
)


@respx.mock
async def test_every_call_answers_503_while_the_gateway_fails(supabase: httpx.AsyncClient, sign_up: SignUp) -> None:
    token = bearer((await sign_up()).tokens["access_token"])
    for failure in FAILURES_OF_A_GATEWAY:
        respx.clear()
        respx.route(host="played.supabase.co").mock(
            side_effect=failure if isinstance(failure, Exception) else itertools.repeat(failure)
        )
        responses = [await supabase.post(f"/v1/auth/{path}", json=body) for path, body in CALLS_WITHOUT_TOKEN.items()]
        responses += [
            await supabase.post("/v1/auth/logout", headers=token),
            await supabase.get("/v1/auth/me", headers=token),
            await supabase.patch("/v1/auth/me", json={"metadata": {}}, headers=token),
            await supabase.delete("/v1/auth/me", headers=token),
        ]
        is_success = isinstance(failure, httpx.Response) and failure.is_success
        # The client does not read the content of these responses.
        unread = {"/v1/auth/recover", "/v1/auth/resend", "/v1/auth/logout"} if is_success else set()
        for response in responses:
            if response.request.url.path not in unread:
                check_unavailable(response, failure)


def check_unavailable(response: httpx.Response, failure: httpx.Response | Exception) -> None:
    what = f"{response.request.method} {response.request.url.path} {failure!r}"
    assert (response.status_code, response.json()["code"]) == (503, "identity_unavailable"), what
    assert response.json()["detail"] == "The identity provider does not respond. Try again in a moment.", what
    wait = failure.headers.get("Retry-After") if isinstance(failure, httpx.Response) else None
    assert response.headers["Retry-After"] == (wait or "5"), what
