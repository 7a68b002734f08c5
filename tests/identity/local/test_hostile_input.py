"""No input makes a route fail with a 500."""

import asyncio
import json

import pytest
import pytest_asyncio
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from supabase_auth.errors import AuthApiError

from tests.identity.local.conftest import PASSWORD, SECRET, Provider, new_email

FIELDS = ["email", "password", "data", "phone", "type", "token", "token_hash", "refresh_token", "current_password"]
ADMIN_FIELDS = ["id", "role", "ban_duration", "password_hash", "app_metadata", "user_metadata", "new_email"]
ODD = ["", "\0", "a@b", "signup", "recovery", "email_change_new", "none", "1h", "\u2028", "a" * 2000, "🙂"]
leaves = st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=20) | st.sampled_from(ODD)
values = st.recursive(leaves, lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3))
bodies = st.dictionaries(st.sampled_from(FIELDS + ADMIN_FIELDS), values, max_size=5) | values
ROUTES = [
    ("POST", "/signup"),
    ("POST", "/token?grant_type=password"),
    ("POST", "/token?grant_type=refresh_token"),
    ("PUT", "/user"),
    ("POST", "/recover"),
    ("POST", "/resend"),
    ("POST", "/verify"),
    ("POST", "/admin/users"),
    ("POST", "/admin/generate_link"),
]


@pytest_asyncio.fixture
async def token(provider: Provider) -> str:
    session = (await provider.client().sign_up({"email": new_email(), "password": PASSWORD})).session
    assert session is not None
    return session.access_token


@pytest.mark.parametrize(("method", "path"), ROUTES)
@given(body=bodies)
@settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
async def test_route_never_fails_for_any_body(
    provider: Provider, token: str, method: str, path: str, body: object
) -> None:
    bearer = SECRET if path.startswith("/admin") else token
    headers = {"Authorization": f"Bearer {bearer}", "Content-Type": "application/json"}
    answer = await provider.http.request(method, path, content=json.dumps(body), headers=headers)
    assert answer.status_code < 500, answer.text


@pytest.mark.parametrize("path", ["/user", "/verify?token=%00&type=signup", "/admin/users?page=-1&per_page=x"])
async def test_routes_never_fail_for_odd_queries_and_headers(provider: Provider, path: str) -> None:
    for token in ("", "é", "a.b.c", "." * 500):
        headers = [(b"Authorization", f"Bearer {token}".encode()), (b"X-Supabase-Api-Version", b"\xff")]
        assert (await provider.http.get(path, headers=headers)).status_code < 500


async def test_sign_in_accepts_unusual_forwarded_addresses(provider: Provider) -> None:
    email = new_email()
    await provider.client().sign_up({"email": email, "password": PASSWORD})
    for address in ("fe80::1%eth0", "unix", "192.0.2.1, 10.0.0.1", "2001:db8::1"):
        headers = {"apikey": SECRET, "Sb-Forwarded-For": address}
        body = {"email": email, "password": PASSWORD}
        answer = await provider.http.post("/token?grant_type=password", json=body, headers=headers)
        assert answer.status_code == 200


async def test_concurrent_identical_requests_do_not_fail(provider: Provider) -> None:
    email = new_email()
    session = (await provider.client().sign_up({"email": email, "password": PASSWORD})).session
    assert session is not None
    await asyncio.gather(*(provider.client().reset_password_for_email(email) for _ in range(4)))
    ended = [provider.client().admin.sign_out(session.access_token) for _ in range(4)]
    for answer in await asyncio.gather(*ended, return_exceptions=True):
        assert answer is None or (isinstance(answer, AuthApiError) and answer.status == 403)
