"""Supabase mode: requests to GoTrue, and its responses and those of the gateway in front of it."""

import asyncio
import json
import ssl
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime
from uuid import uuid4

import httpx
import pytest
import pytest_asyncio
import respx
from structlog.testing import capture_logs

from app.adapters.accounts.supabase import GoTrueIdentity
from app.core.errors import AppError
from app.core.ports.accounts import AccountChange, MailedCode, MailedLink, MailKind, ResendKind, SignOutScope
from app.core.ports.signed_in import Account
from tests.adapters.accounts.gotrue import old_refusal, refusal, session, token, user

URL = "https://ref.supabase.co/auth/v1"
PUBLISHABLE, SECRET = "sb_publishable_test", "sb_secret_test"
ANA, BEN = "203.0.113.7", "2001:db8::1"
TLS = ssl.create_default_context()
ACCOUNT = uuid4()
TOKEN = token()

Call = Callable[[GoTrueIdentity], Awaitable[object]]

# Every call, with the request GoTrue must see: method, path, query, body.
CALLS: Mapping[str, tuple[Call, str, str, Mapping[str, str], Mapping[str, object] | None]] = {
    "sign_up": (
        lambda gotrue: gotrue.sign_up("a@b.co", "pw", {"name": "Ana"}, redirect_to="https://app/in"),
        *("POST", "signup", {"redirect_to": "https://app/in"}),
        {"email": "a@b.co", "password": "pw", "data": {"name": "Ana"}},
    ),
    "sign_in": (
        lambda gotrue: gotrue.sign_in("a@b.co", "pw"),
        *("POST", "token", {"grant_type": "password"}, {"email": "a@b.co", "password": "pw"}),
    ),
    "refresh": (
        lambda gotrue: gotrue.refresh("r1"),
        *("POST", "token", {"grant_type": "refresh_token"}, {"refresh_token": "r1"}),
    ),
    "sign_out": (
        lambda gotrue: gotrue.sign_out(TOKEN, SignOutScope.OTHERS),
        *("POST", "logout", {"scope": "others"}, None),
    ),
    "recover": (
        lambda gotrue: gotrue.recover("a@b.co", redirect_to="https://app/new"),
        *("POST", "recover", {"redirect_to": "https://app/new"}, {"email": "a@b.co"}),
    ),
    "resend": (
        lambda gotrue: gotrue.resend(ResendKind.EMAIL_CHANGE, "a@b.co"),
        *("POST", "resend", {}, {"type": "email_change", "email": "a@b.co"}),
    ),
    "verify a link": (
        lambda gotrue: gotrue.verify(MailKind.RECOVERY, MailedLink("hash")),
        *("POST", "verify", {}, {"type": "recovery", "token_hash": "hash"}),
    ),
    "verify a code": (
        lambda gotrue: gotrue.verify(MailKind.SIGNUP, MailedCode("a@b.co", "123456")),
        *("POST", "verify", {}, {"type": "signup", "email": "a@b.co", "token": "123456"}),
    ),
    "get_account": (lambda gotrue: gotrue.get_account(TOKEN), "GET", "user", {}, None),
    "update_account": (
        lambda gotrue: gotrue.update_account(
            TOKEN, AccountChange(email="n@b.co", password="new", current_password="pw", metadata={"a": None})
        ),
        *("PUT", "user", {}),
        {"email": "n@b.co", "password": "new", "current_password": "pw", "data": {"a": None}},
    ),
    "admin_get": (lambda gotrue: gotrue.admin_get(ACCOUNT), "GET", f"admin/users/{ACCOUNT}", {}, None),
    "admin_list": (
        lambda gotrue: gotrue.admin_list(2, 10),
        "GET",
        "admin/users",
        {"page": "2", "per_page": "10"},
        None,
    ),
    "admin_create": (
        lambda gotrue: gotrue.admin_create("a@b.co", account_id=ACCOUNT, password_hash="$2a$10$x"),
        *("POST", "admin/users", {}),
        {"id": str(ACCOUNT), "email": "a@b.co", "password_hash": "$2a$10$x", "email_confirm": True},
    ),
    "admin_delete": (
        lambda gotrue: gotrue.admin_delete(ACCOUNT),
        *("DELETE", f"admin/users/{ACCOUNT}", {}, {"should_soft_delete": False}),
    ),
}
AS_THE_PERSON = ("sign_out", "get_account", "update_account")
EMPTY = {"sign_out": httpx.Response(204), "recover": httpx.Response(200, json={})} | {
    "resend": httpx.Response(200, json={}),
    "admin_delete": httpx.Response(200, json={}),
}


@pytest_asyncio.fixture
async def http() -> AsyncIterator[httpx.AsyncClient]:
    async with httpx.AsyncClient(timeout=2, verify=TLS) as client:
        yield client


@pytest.fixture
def gotrue(http: httpx.AsyncClient) -> GoTrueIdentity:
    return GoTrueIdentity(URL, http, publishable_key=PUBLISHABLE, secret_key=SECRET)


@pytest.fixture
def unprivileged_gotrue(http: httpx.AsyncClient) -> GoTrueIdentity:
    return GoTrueIdentity(URL, http, publishable_key=PUBLISHABLE)


def play(name: str, response: httpx.Response | Exception) -> respx.Route:
    """Respond to one call. To update an account, the client first reads it."""
    _, method, path, _, _ = CALLS[name]
    if name == "update_account":
        respx.get(f"{URL}/user").respond(json=user())
    route = respx.request(method, f"{URL}/{path}")
    return route.mock(side_effect=response if isinstance(response, Exception) else [response])


def success(name: str) -> httpx.Response:
    if name in EMPTY:
        return EMPTY[name]
    if name == "admin_list":
        return httpx.Response(200, json={"users": [user()], "aud": "authenticated"})
    return httpx.Response(200, json=user() if "account" in name or "admin" in name else session())


async def refused(call: Awaitable[object]) -> AppError:
    with pytest.raises(AppError) as caught:
        await call
    return caught.value


async def error_of(name: str, gotrue: GoTrueIdentity, answer: httpx.Response | Exception) -> AppError:
    """The error of a call with this response. Removes the routes of earlier calls."""
    respx.mock.clear()
    play(name, answer)
    return await refused(CALLS[name][0](gotrue))


# ---------------------------------------------------------------- requests


@respx.mock
async def test_calls_send_what_gotrue_expects(gotrue: GoTrueIdentity) -> None:
    for name, (call, _, _, query, body) in CALLS.items():
        route = play(name, success(name))
        await call(gotrue)
        sent = route.calls.last.request
        assert dict(sent.url.params) == query, name
        if body is not None:
            assert body.items() <= json.loads(sent.content).items(), name


@respx.mock
async def test_calls_send_the_right_key_and_token(gotrue: GoTrueIdentity) -> None:
    for name, (call, *_) in CALLS.items():
        route = play(name, success(name))
        await call(gotrue)
        sent = route.calls.last.request.headers
        key = SECRET if name.startswith("admin") else PUBLISHABLE
        assert sent["apikey"] == key, name
        assert sent["Authorization"] == f"Bearer {TOKEN if name in AS_THE_PERSON else key}", name


@respx.mock
async def test_gateway_that_refuses_our_key_is_misconfigured(gotrue: GoTrueIdentity) -> None:
    for name in CALLS:
        error = await error_of(name, gotrue, httpx.Response(401, json={"message": "No API key found in request"}))
        assert (error.status, error.reason) == (502, "identity_misconfigured"), name
        assert "SUPABASE_PUBLISHABLE_KEY" in error.detail, name


@pytest.mark.parametrize(
    "failure",
    [
        httpx.ConnectTimeout("slow"),
        httpx.ReadTimeout("slow"),
        httpx.ConnectError("no route"),
        httpx.RemoteProtocolError("cut"),
        *(httpx.Response(status, text="<html>") for status in (429, 500, 502, 503, 504, 520, 522, 530)),
        httpx.Response(503, json={"message": "paused"}),
    ],
    ids=repr,
)
@respx.mock
async def test_unavailable_supabase_is_503(failure: httpx.Response | Exception, gotrue: GoTrueIdentity) -> None:
    """A page instead of JSON comes from the gateway in front of GoTrue. Its 429 counts this server, not the caller."""
    for name in CALLS:
        error = await error_of(name, gotrue, failure)
        assert (error.status, error.reason) == (503, "identity_unavailable"), name
        assert error.detail.endswith("Try again in a moment."), name


@pytest.mark.parametrize("body", [b"<html>", b"", json.dumps(session())[:200].encode()], ids=["page", "empty", "cut"])
@respx.mock
async def test_success_that_is_not_json_is_503(body: bytes, gotrue: GoTrueIdentity) -> None:
    for name in CALLS.keys() - EMPTY.keys():
        answer = httpx.Response(200, content=body, headers={"Retry-After": "7"})
        error = await error_of(name, gotrue, answer)
        assert (error.status, error.reason) == (503, "identity_unavailable"), name


@pytest.mark.parametrize(
    "nonsense",
    [httpx.Response(404, text="<html>Oops</html>"), httpx.Response(302, headers={"Location": "/"})],
    ids=repr,
)
@respx.mock
async def test_response_that_is_not_gotrues_is_502(nonsense: httpx.Response, gotrue: GoTrueIdentity) -> None:
    for name in CALLS:
        error = await error_of(name, gotrue, nonsense)
        assert (error.status, error.reason) == (502, "identity_failed"), name


@pytest.mark.parametrize("body", [b"{}", b"null", b"[]", json.dumps({"id": 1}).encode()], ids=lambda body: repr(body))
@respx.mock
async def test_success_of_the_wrong_shape_is_502(body: bytes, gotrue: GoTrueIdentity) -> None:
    for name in CALLS.keys() - EMPTY.keys():
        error = await error_of(name, gotrue, httpx.Response(200, content=body))
        assert (error.status, error.reason) == (502, "identity_failed"), name


@pytest.mark.parametrize(
    "broken",
    [
        session(user=user(created_at="2026-11-20 22:36:15.541+00 BC")),
        session(user=user(id="not-a-uuid")),
        session(access_token=None),
    ],
    ids=["time", "id", "token"],
)
@respx.mock
async def test_session_of_the_wrong_shape_is_502(broken: dict[str, object], gotrue: GoTrueIdentity) -> None:
    play("sign_in", httpx.Response(200, json=broken))
    assert (await refused(gotrue.sign_in("a@b.co", "pw"))).status == 502


# ---------------------------------------------------------------- responses


@respx.mock
async def test_session_contains_its_account(gotrue: GoTrueIdentity) -> None:
    body = session("ana")
    play("sign_in", httpx.Response(200, json=body))
    signed_in = await gotrue.sign_in("ana@example.com", "pw")
    assert (signed_in.access_token, signed_in.refresh_token) == (body["access_token"], body["refresh_token"])
    assert (signed_in.expires_in, signed_in.account.email) == (3600, "ana@example.com")
    assert str(signed_in.access_token) not in repr(signed_in)


@respx.mock
async def test_unconfirmed_sign_up_has_no_session(gotrue: GoTrueIdentity) -> None:
    play("sign_up", httpx.Response(200, json=user("ana@example.com", email_confirmed_at=None, confirmed_at=None)))
    made = await gotrue.sign_up("ana@example.com", "pw", {})
    assert isinstance(made, Account)
    assert made.confirmed_at is None


@respx.mock
async def test_taken_address_looks_like_a_new_one_with_confirmation(gotrue: GoTrueIdentity) -> None:
    play("sign_up", httpx.Response(200, json=user(identities=[], email_confirmed_at=None, confirmed_at=None)))
    assert isinstance(await gotrue.sign_up("ana@example.com", "pw", {}), Account)


@respx.mock
async def test_half_confirmed_change_of_address_has_no_session(gotrue: GoTrueIdentity) -> None:
    play("verify a link", httpx.Response(200, json={"code": "200", "msg": "Confirmation link accepted."}))
    assert await gotrue.verify(MailKind.EMAIL_CHANGE, MailedLink("hash")) is None


@respx.mock
async def test_unconfirmed_new_address_is_shown(gotrue: GoTrueIdentity) -> None:
    play("update_account", httpx.Response(200, json=user(new_email="new@example.com")))
    changed = await gotrue.update_account(TOKEN, AccountChange(email="new@example.com"))
    assert (changed.email, changed.new_email) == ("ana@example.com", "new@example.com")


@respx.mock
async def test_admin_find_reads_pages_until_an_empty_one(gotrue: GoTrueIdentity) -> None:
    pages = [[user("a@b.co"), user("b@b.co")], [user("C@b.co")], []]
    answers = [httpx.Response(200, json={"users": page, "aud": ""}) for page in pages]
    route = respx.get(f"{URL}/admin/users").mock(side_effect=answers)
    assert (await gotrue.admin_find("nobody@b.co")) is None
    assert [call.request.url.params["page"] for call in route.calls] == ["1", "2", "3"]
    route.mock(side_effect=answers)
    found = await gotrue.admin_find("c@b.co ")
    assert found is not None
    assert found.email == "C@b.co"


# ---------------------------------------------------------------- errors

REFUSALS = [
    ("sign_up", 422, "user_already_exists", 409),
    ("sign_up", 422, "signup_disabled", 403),
    ("sign_up", 400, "validation_failed", 422),
    ("sign_up", 400, "email_address_invalid", 422),
    ("sign_up", 400, "email_provider_disabled", 403),
    ("sign_up", 400, "captcha_failed", 400),
    ("sign_up", 400, "email_address_not_authorized", 502),
    ("sign_up", 500, "unexpected_failure", 502),
    ("sign_in", 400, "invalid_credentials", 401),
    ("sign_in", 400, "email_not_confirmed", 403),
    ("sign_in", 400, "user_banned", 403),
    ("sign_in", 422, "email_provider_disabled", 403),
    ("refresh", 400, "refresh_token_not_found", 401),
    ("refresh", 400, "refresh_token_already_used", 401),
    ("refresh", 400, "session_not_found", 401),
    ("refresh", 400, "session_expired", 401),
    ("refresh", 400, "user_banned", 403),
    ("refresh", 409, "conflict", 409),
    ("get_account", 401, "no_authorization", 401),
    ("get_account", 403, "bad_jwt", 401),
    ("get_account", 403, "session_not_found", 401),
    ("get_account", 403, "user_not_found", 401),
    ("get_account", 403, "user_banned", 403),
    ("update_account", 422, "same_password", 422),
    ("update_account", 422, "email_exists", 409),
    ("update_account", 400, "reauthentication_needed", 403),
    ("update_account", 422, "reauthentication_not_valid", 422),
    ("update_account", 400, "current_password_required", 422),
    ("update_account", 400, "current_password_invalid", 403),
    ("update_account", 401, "insufficient_aal", 403),
    ("sign_out", 403, "session_not_found", 401),
    ("sign_out", 403, "bad_jwt", 401),
    ("sign_out", 400, "validation_failed", 422),
    ("recover", 400, "validation_failed", 422),
    ("resend", 400, "validation_failed", 422),
    ("verify a link", 403, "otp_expired", 403),
    ("verify a link", 400, "validation_failed", 422),
    ("verify a code", 403, "user_banned", 403),
    ("admin_create", 422, "email_exists", 409),
    ("admin_create", 400, "validation_failed", 422),
    ("admin_create", 401, "no_authorization", 401),
    ("admin_get", 403, "not_admin", 502),
    ("admin_get", 404, "user_not_found", 404),
    ("admin_delete", 404, "user_not_found", 404),
    ("sign_in", 422, "a_word_of_next_year", 422),
    ("sign_in", 418, "a_word_of_next_year", 502),
]
LIMITED = ("over_request_rate_limit", "over_email_send_rate_limit")


@pytest.mark.parametrize("body", [refusal, old_refusal])
@respx.mock
async def test_errors_have_a_status_a_stable_code_and_a_sentence(
    body: Callable[..., httpx.Response], gotrue: GoTrueIdentity
) -> None:
    for name, status, code, ours in REFUSALS:
        error = await error_of(name, gotrue, body(status, code, "Said by GoTrue."))
        assert error.status == ours, (name, code)
        assert error.reason == (code if status != 418 else "identity_failed"), (name, code)
        assert " " in error.detail, (name, code)


@respx.mock
async def test_message_of_gotrue_is_kept_for_invalid_values(gotrue: GoTrueIdentity) -> None:
    play("sign_up", refusal(400, "validation_failed", "Password cannot be longer than 72 characters"))
    assert (
        await refused(gotrue.sign_up("a@b.co", "p" * 73, {}))
    ).detail == "Password cannot be longer than 72 characters"


@pytest.mark.parametrize(
    ("reason", "advice"),
    [("length", "make it longer"), ("characters", "more kinds of characters"), ("pwned", "leaked")],
)
@pytest.mark.parametrize("name", ["sign_up", "update_account"])
@respx.mock
async def test_weak_password_error_says_what_to_change(
    name: str, reason: str, advice: str, gotrue: GoTrueIdentity
) -> None:
    weak = {"weak_password": {"reasons": [reason]}}
    play(name, refusal(422, "weak_password", "Password should be at least 8 characters.", **weak))
    error = await refused(CALLS[name][0](gotrue))
    assert (error.status, error.reason) == (422, "weak_password")
    assert advice in error.detail


@pytest.mark.parametrize("extra", [{}, {"weak_password": None}, {"weak_password": {"reasons": None}}], ids=repr)
@respx.mock
async def test_weak_password_without_reasons_is_recognised(extra: dict[str, object], gotrue: GoTrueIdentity) -> None:
    play("sign_up", refusal(422, "weak_password", "Too weak.", **extra))
    error = await refused(gotrue.sign_up("a@b.co", "pw", {}))
    assert (error.status, error.reason) == (422, "weak_password")


@pytest.mark.parametrize("name", ["sign_up", "sign_in", "refresh", "verify a code", "update_account", "recover"])
@respx.mock
async def test_too_many_requests_keep_retry_after(name: str, gotrue: GoTrueIdentity) -> None:
    answer = refusal(429, "over_request_rate_limit", "Request rate limit reached")
    answer.headers["Retry-After"] = "17"
    play(name, answer)
    error = await refused(CALLS[name][0](gotrue))
    assert (error.status, error.reason, error.headers) == (429, "over_request_rate_limit", {"Retry-After": "17"})


@pytest.mark.parametrize(
    "header", ["16.2", format_datetime(datetime.now(UTC) + timedelta(hours=1), usegmt=True)], ids=["seconds", "date"]
)
@respx.mock
async def test_retry_after_is_whole_seconds(header: str, gotrue: GoTrueIdentity) -> None:
    play("sign_in", httpx.Response(429, text="<html>", headers={"Retry-After": header}))
    error = await refused(gotrue.sign_in("a@b.co", "pw"))
    assert error.status == 503
    assert error.headers["Retry-After"].isdecimal()


@respx.mock
async def test_retry_after_is_read_from_the_message(gotrue: GoTrueIdentity) -> None:
    sentence = "For security purposes, you can only request this after 42 seconds."
    play("sign_up", refusal(429, "over_email_send_rate_limit", sentence))
    error = await refused(gotrue.sign_up("a@b.co", "pw", {}))
    assert error.headers == {"Retry-After": "42"}


@pytest.mark.parametrize("header", [{}, {"Retry-After": "soon"}], ids=repr)
@respx.mock
async def test_missing_retry_after_is_not_invented(header: dict[str, str], gotrue: GoTrueIdentity) -> None:
    answer = refusal(429, "over_request_rate_limit", "Request rate limit reached")
    answer.headers.update(header)
    play("sign_in", answer)
    error = await refused(gotrue.sign_in("a@b.co", "pw"))
    assert (error.status, error.headers) == (429, {})


@respx.mock
async def test_retry_after_of_an_outage_is_kept(gotrue: GoTrueIdentity) -> None:
    play("sign_in", httpx.Response(503, text="maintenance", headers={"Retry-After": "120"}))
    assert (await refused(gotrue.sign_in("a@b.co", "pw"))).headers == {"Retry-After": "120"}


@pytest.mark.parametrize("name", ["recover", "resend"])
@pytest.mark.parametrize(
    ("status", "code"),
    [
        (429, "over_email_send_rate_limit"),
        (400, "email_address_not_authorized"),
        (500, "unexpected_failure"),
        (422, "hook_timeout"),
    ],
)
@respx.mock
async def test_failed_mail_does_not_reveal_the_account(
    name: str, status: int, code: str, gotrue: GoTrueIdentity
) -> None:
    play(name, refusal(status, code, "Only for those who exist."))
    with capture_logs() as logs:
        await CALLS[name][0](gotrue)
    assert [(line["event"], line["code"]) for line in logs] == [("identity.mail_withheld", code)]


@pytest.mark.parametrize("bad", ["not-a-token", "a.b.c", "ä.ö.ü", "", "x" * 5000])
@respx.mock
async def test_invalid_token_changes_no_account(bad: str, gotrue: GoTrueIdentity) -> None:
    route = respx.route().mock(return_value=refusal(400, "refresh_token_not_found"))
    assert (await refused(gotrue.update_account(bad, AccountChange(metadata={})))).status == 401
    assert all(call.request.method != "PUT" for call in route.calls)


@pytest.mark.parametrize("seconds", [-60, 3])
@respx.mock
async def test_expiring_token_is_not_refreshed(seconds: int, gotrue: GoTrueIdentity) -> None:
    respx.get(f"{URL}/user").respond(json=user())
    respx.post(f"{URL}/token").mock(return_value=refusal(400, "refresh_token_not_found"))
    error = await refused(gotrue.update_account(token(seconds=seconds), AccountChange(metadata={})))
    assert (error.status, error.reason) == (401, "invalid_token")


@respx.mock
async def test_refresh_token_of_another_server_ends_the_session(gotrue: GoTrueIdentity) -> None:
    """After a move, front ends hold refresh tokens of the former server. They sign out on 401."""
    for answer in (
        refusal(400, "validation_failed", "Refresh token is not valid"),
        refusal(400, "refresh_token_not_found", "Invalid Refresh Token: Refresh Token Not Found"),
    ):
        play("refresh", answer)
        error = await refused(gotrue.refresh("of-another-server"))
        assert (error.status, error.reason) == (401, "refresh_token_not_found")


@respx.mock
async def test_unsendable_characters_are_a_client_error(gotrue: GoTrueIdentity) -> None:
    assert (await refused(gotrue.sign_in("a@b.co", "\ud800"))).status == 400
    assert (await refused(gotrue.sign_in("", ""))).status == 422


@respx.mock
async def test_failure_is_logged_without_content(gotrue: GoTrueIdentity) -> None:
    play("sign_in", httpx.Response(200, json={"leak": "sentinel-in-answer"}))
    with capture_logs() as logs:
        error = await refused(gotrue.sign_in("sentinel@example.com", "sentinel-password"))
    assert [line["event"] for line in logs] == ["identity.failed"]
    assert "sentinel" not in f"{logs}{error}{error.__cause__}"


# ---------------------------------------------------------------- separate sessions


@respx.mock
async def test_concurrent_users_never_share_a_session(gotrue: GoTrueIdentity) -> None:
    """One client, the requests of two users interleaved: GoTrue sees each with its own token and address."""
    tokens = {name: token(name) for name in ("ana", "ben")}
    homes = {"ana": ANA, "ben": BEN}
    by_token = {f"Bearer {value}": name for name, value in tokens.items()}
    seen: list[tuple[str, str, str]] = []

    async def play_gotrue(request: httpx.Request) -> httpx.Response:
        await asyncio.sleep(0)
        path = request.url.path.removeprefix("/auth/v1")
        signing_in = path == "/token"
        name = json.loads(request.content)["email"][:3] if signing_in else by_token[request.headers["Authorization"]]
        seen.append((name, f"{request.method} {path}", request.headers["Sb-Forwarded-For"]))
        if signing_in:
            return httpx.Response(200, json=session(name, access_token=tokens[name]))
        return httpx.Response(204) if path == "/logout" else httpx.Response(200, json=user(f"{name}@x.co"))

    async def live(name: str) -> None:
        mine = await gotrue.sign_in(f"{name}@x.co", "pw", ip=homes[name])
        for _ in range(5):
            assert (await gotrue.get_account(mine.access_token, ip=homes[name])).email == f"{name}@x.co"
            change = AccountChange(metadata={"n": name})
            assert (await gotrue.update_account(mine.access_token, change, ip=homes[name])).email == f"{name}@x.co"
        await gotrue.sign_out(mine.access_token, SignOutScope.LOCAL, ip=homes[name])

    respx.route().mock(side_effect=play_gotrue)
    await asyncio.gather(live("ana"), live("ben"))
    for name, home in homes.items():
        mine = [step for step in seen if step[0] == name]
        assert {step[2] for step in mine} == {home}
        assert [step[1] for step in mine].count("PUT /user") == 5
        assert mine[-1][1] == "POST /logout"
    assert {step[0] for step in seen[:2]} == {"ana", "ben"}, "they were meant to be interleaved"


@respx.mock
async def test_call_without_a_token_sends_no_earlier_token(gotrue: GoTrueIdentity) -> None:
    play("sign_in", success("sign_in"))
    route = play("recover", success("recover"))
    await gotrue.sign_in("a@b.co", "pw")
    await gotrue.recover("c@d.co")
    assert route.calls.last.request.headers["Authorization"] == f"Bearer {PUBLISHABLE}"


PEOPLES_CALLS: dict[str, Callable[[GoTrueIdentity, str | None], Awaitable[object]]] = {
    "sign_up": lambda gotrue, ip: gotrue.sign_up("a@b.co", "pw", {}, ip=ip),
    "sign_in": lambda gotrue, ip: gotrue.sign_in("a@b.co", "pw", ip=ip),
    "refresh": lambda gotrue, ip: gotrue.refresh("r1", ip=ip),
    "sign_out": lambda gotrue, ip: gotrue.sign_out(TOKEN, SignOutScope.LOCAL, ip=ip),
    "recover": lambda gotrue, ip: gotrue.recover("a@b.co", ip=ip),
    "resend": lambda gotrue, ip: gotrue.resend(ResendKind.SIGNUP, "a@b.co", ip=ip),
    "verify a link": lambda gotrue, ip: gotrue.verify(MailKind.RECOVERY, MailedLink("h"), ip=ip),
    "get_account": lambda gotrue, ip: gotrue.get_account(TOKEN, ip=ip),
    "update_account": lambda gotrue, ip: gotrue.update_account(TOKEN, AccountChange(metadata={}), ip=ip),
}
each_of_peoples = pytest.mark.parametrize("name", PEOPLES_CALLS)


@each_of_peoples
@respx.mock
async def test_address_of_the_client_is_forwarded_with_the_secret_key(name: str, gotrue: GoTrueIdentity) -> None:
    route = play(name, success(name))
    await PEOPLES_CALLS[name](gotrue, ANA)
    sent = route.calls.last.request.headers
    assert (sent["Sb-Forwarded-For"], sent["apikey"]) == (ANA, SECRET)


@each_of_peoples
@respx.mock
async def test_address_is_not_forwarded_without_the_secret_key(name: str, unprivileged_gotrue: GoTrueIdentity) -> None:
    route = play(name, success(name))
    await PEOPLES_CALLS[name](unprivileged_gotrue, ANA)
    sent = route.calls.last.request.headers
    assert "Sb-Forwarded-For" not in sent
    assert sent["apikey"] == PUBLISHABLE


@pytest.mark.parametrize("ip", [None, "", "unknown", "1.2.3.4, 5.6.7.8", "1.2.3.4\r\nX: y"])
@respx.mock
async def test_invalid_address_is_not_forwarded(ip: str | None, gotrue: GoTrueIdentity) -> None:
    route = play("sign_in", success("sign_in"))
    await gotrue.sign_in("a@b.co", "pw", ip=ip)
    sent = route.calls.last.request.headers
    assert "Sb-Forwarded-For" not in sent
    assert sent["apikey"] == PUBLISHABLE


async def test_administration_without_the_secret_key_names_the_setting(
    unprivileged_gotrue: GoTrueIdentity,
) -> None:
    for call in (unprivileged_gotrue.admin_get(ACCOUNT), unprivileged_gotrue.admin_delete(ACCOUNT)):
        error = await refused(call)
        assert (error.status, error.reason) == (503, "secret_key_missing")
        assert "SUPABASE_SECRET_KEY" in error.detail


@respx.mock
async def test_shared_connections_stay_open(gotrue: GoTrueIdentity, http: httpx.AsyncClient) -> None:
    play("sign_in", success("sign_in"))
    await gotrue.sign_in("a@b.co", "pw")
    assert not http.is_closed


@respx.mock
async def test_closed_connections_are_an_unavailable_provider(gotrue: GoTrueIdentity, http: httpx.AsyncClient) -> None:
    await http.aclose()
    assert (await refused(gotrue.sign_in("a@b.co", "pw"))).status == 503


@respx.mock
@pytest.mark.parametrize(
    ("answer", "status"),
    [
        (httpx.ConnectError("refused"), 503),
        (httpx.Response(500, text="down"), 503),
        (httpx.Response(200, text="<html>"), 503),
        (httpx.Response(200, json=[]), 502),
    ],
)
async def test_settings_that_cannot_be_read_are_an_error(
    answer: httpx.Response | Exception, status: int, gotrue: GoTrueIdentity
) -> None:
    respx.get(url__regex=r".*/auth/v1/settings$").mock(side_effect=[answer])
    with pytest.raises(AppError) as refused:
        await gotrue.confirms_addresses()
    assert refused.value.status == status


@respx.mock
async def test_settings_without_the_field_mean_that_addresses_are_not_confirmed(gotrue: GoTrueIdentity) -> None:
    respx.get(url__regex=r".*/auth/v1/settings$").mock(return_value=httpx.Response(200, json={}))
    assert not await gotrue.confirms_addresses()
