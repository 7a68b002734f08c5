"""The refresh token in a cookie that no script can read, with the embedded provider and with Supabase."""

import uuid
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import replace
from http.cookies import SimpleCookie
from ipaddress import IPv6Address

import httpx
import pytest
import respx
from fastapi import FastAPI

from app.adapters.accounts.supabase import GoTrueIdentity
from app.core.resources import Resources
from app.identity.refresh_cookie import COOKIE
from app.main import create_app
from tests.conftest import PASSWORD, SignUp
from tests.contracts.played_gotrue import URL, PlayedGoTrue
from tests.patience import PATIENCE_SECONDS

LOOPBACK, HTTPS = "http://127.0.0.1:8000", "https://memory.example.com"
ASK = {"X-Refresh-Token": "cookie"}


@asynccontextmanager
async def open_page(app: FastAPI, url: str = LOOPBACK) -> AsyncIterator[httpx.AsyncClient]:
    """A browser's client: it keeps cookies, and names its origin."""
    transport = httpx.ASGITransport(app=app, client=(str(IPv6Address(uuid.uuid4().int)), 1))
    headers = {"Origin": url, "Sec-Fetch-Site": "same-origin", **ASK}
    async with httpx.AsyncClient(transport=transport, base_url=url, headers=headers, timeout=30) as client:
        yield client


async def log_in(page: httpx.AsyncClient, email: str, **headers: str) -> httpx.Response:
    response = await page.post("/v1/auth/login", json={"email": email, "password": PASSWORD}, headers=headers)
    assert response.status_code == 200, response.text
    return response


def read_cookie(response: httpx.Response) -> dict[str, str]:
    return dict(SimpleCookie(response.headers["set-cookie"])[COOKIE].items())


@pytest.mark.parametrize(("url", "secure"), [(LOOPBACK, ""), (HTTPS, True)], ids=["loopback", "https"])
async def test_cookie_is_out_of_reach_of_scripts_and_other_sites(
    app: FastAPI, sign_up: SignUp, url: str, secure: object
) -> None:
    ana = await sign_up()
    async with open_page(app, url) as page:
        response = await log_in(page, ana.email)
        assert response.json()["refresh_token"] is None
        flags = {name: value for name, value in read_cookie(response).items() if value}
        expected = {"httponly": True, "samesite": "strict", "path": "/v1/auth", "secure": secure}
        assert flags == {name: value for name, value in expected.items() if value}
        lasting = await log_in(page, ana.email, **{"X-Refresh-Token": "lasting-cookie"})
        assert int(read_cookie(lasting)["max-age"]) > 86_400 * 30
        assert (await page.post("/v1/auth/refresh")).json()["refresh_token"] is None


async def test_plain_http_on_another_host_gets_the_token_in_the_body(app: FastAPI, sign_up: SignUp) -> None:
    ana = await sign_up()
    async with open_page(app, "http://memory.example.com") as page:
        response = await log_in(page, ana.email)
        assert "set-cookie" not in response.headers
        assert response.json()["refresh_token"]


async def test_clients_that_do_not_ask_get_no_cookie(app: FastAPI, sign_up: SignUp) -> None:
    ana = await sign_up()
    async with open_page(app) as page:
        del page.headers["X-Refresh-Token"]
        response = await log_in(page, ana.email)
        assert "set-cookie" not in response.headers
        assert response.json()["refresh_token"]
        missing = await page.post("/v1/auth/refresh", json={})
        assert (missing.status_code, missing.json()["code"]) == (422, "unprocessable")


async def test_cookie_refreshes_and_log_out_clears_it(app: FastAPI, sign_up: SignUp) -> None:
    ana = await sign_up()
    async with open_page(app) as page:
        await log_in(page, ana.email)
        before = page.cookies[COOKIE]
        refreshed = (await page.post("/v1/auth/refresh")).json()
        assert page.cookies[COOKIE] != before
        bearer = {"Authorization": f"Bearer {refreshed['access_token']}"}
        assert (await page.get("/v1/auth/me", headers=bearer)).json()["email"] == ana.email
        kept = page.cookies[COOKIE]
        left = await page.post("/v1/auth/logout", headers=bearer)
        assert left.status_code == 200
        assert COOKIE not in page.cookies
        again = await page.post("/v1/auth/refresh")
        assert (again.status_code, again.json()["code"]) == (401, "unauthorized")
        page.cookies.set(COOKIE, kept, domain="127.0.0.1", path="/v1/auth")
        assert (await page.post("/v1/auth/refresh")).status_code == 401


async def test_sign_up_sets_the_cookie_and_deletion_clears_it(app: FastAPI) -> None:
    async with open_page(app) as page:
        body = {"email": f"{uuid.uuid4().hex}@example.com", "password": PASSWORD}
        session = (await page.post("/v1/auth/signup", json=body)).json()
        assert session["refresh_token"] is None
        assert COOKIE in page.cookies
        bearer = {"Authorization": f"Bearer {session['access_token']}"}
        assert (await page.delete("/v1/auth/me", headers=bearer)).status_code == 200
        assert COOKIE not in page.cookies


async def test_token_of_a_link_moves_into_the_cookie(app: FastAPI, sign_up: SignUp) -> None:
    ana = await sign_up()
    async with open_page(app) as page:
        moved = await page.post("/v1/auth/refresh", json={"refresh_token": ana.tokens["refresh_token"]})
        assert moved.json()["refresh_token"] is None
        assert COOKIE in page.cookies


@pytest.mark.parametrize(
    "headers",
    [
        {"Origin": "https://evil.example", "Sec-Fetch-Site": "cross-site"},
        {"Origin": "http://127.0.0.1:3000", "Sec-Fetch-Site": "same-site"},
        {"Origin": "null", "Sec-Fetch-Site": "same-origin"},
        {"Origin": "http://127.0.0.1:3000", "Sec-Fetch-Site": "same-origin"},
        {"Sec-Fetch-Site": "none"},
        {"Origin": "http://[test", "Sec-Fetch-Site": "same-origin"},
    ],
    ids=["other-site", "other-port", "opaque", "origin-alone", "address-bar", "malformed"],
)
async def test_requests_of_other_origins_are_refused(app: FastAPI, sign_up: SignUp, headers: dict[str, str]) -> None:
    ana = await sign_up()
    async with open_page(app) as page:
        await log_in(page, ana.email)
        before = page.cookies[COOKIE]
        refused = await page.post("/v1/auth/refresh", headers=headers)
        assert (refused.status_code, refused.json()["code"]) == (403, "cross_site")
        assert "set-cookie" not in refused.headers
        assert page.cookies[COOKIE] == before
        # A simple request of another site has no header of its own, so the cookie alone does nothing.
        del page.headers["X-Refresh-Token"]
        assert (await page.post("/v1/auth/refresh", headers=headers)).status_code == 422
        preflight = {"Origin": headers.get("Origin", "null"), "Access-Control-Request-Method": "POST"}
        allowed = await page.options("/v1/auth/refresh", headers=preflight)
        assert "access-control-allow-credentials" not in allowed.headers


@respx.mock
async def test_supabase_sessions_are_kept_in_the_cookie(resources: Resources) -> None:
    respx.route(host="played.supabase.co").mock(side_effect=PlayedGoTrue().answer)
    async with httpx.AsyncClient(timeout=PATIENCE_SECONDS) as http:
        identity = GoTrueIdentity(URL, http, publishable_key="sb_p", secret_key="sb_s")
        async with open_page(create_app(replace(resources, identity=identity)), HTTPS) as page:
            body = {"email": f"{uuid.uuid4().hex}@example.com", "password": PASSWORD}
            assert (await page.post("/v1/auth/signup", json=body)).json()["refresh_token"] is None
            first = page.cookies[COOKIE]
            assert (await page.post("/v1/auth/refresh")).json()["refresh_token"] is None
            assert page.cookies[COOKIE] != first
