"""The whole move, with the documented commands, and what its people do afterwards.

Where GoTrue is missing, the built-in provider serves the tables of the Supabase project in its place. It cannot read
the moved secret of a second factor, which is plain text for GoTrue.
"""

import time
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack
from dataclasses import dataclass
from pathlib import Path

import httpx
import pytest
import pytest_asyncio
from fastapi import FastAPI

from app.adapters.in_process import InProcessShortTerm
from app.core.database.database import Database
from app.identity.local import GRANTS
from app.identity.local.app import create_identity_app
from app.identity.local.mail.mailer import LogMailer
from app.identity.local.provider import open_provider
from app.identity.local.security.keys import SigningKeys, new_key
from app.identity.local.security.totp import PERIOD_SECONDS, code_at
from app.identity.local.settings import IdentitySettings
from app.main import create_app
from app.settings import Settings
from app.wiring import open_resources
from tests.conftest import open_client
from tests.e2e.test_move_to_supabase import OldHouse, as_superuser, make_old_house, run
from tests.identity.local.conftest import ISSUER, NO_LIMITS, PASSWORD
from tests.loopback import serve_on_loopback
from tests.sql import run_sql
from tests.supabase_live import gotrue
from tests.supabase_live.conftest import PROVIDERS
from tests.supabase_live.gotrue import GoTrueBinary
from tests.supabase_project import open_supabase_project

pytestmark = pytest.mark.supabase
NEW_ISSUER = "http://gotrue.test/auth/v1"


@dataclass(frozen=True)
class MovedInstallation:
    old: OldHouse
    app: FastAPI
    has_gotrue: bool


async def serve_stand_in(project: str, stack: AsyncExitStack) -> str:
    run_sql(as_superuser(project), GRANTS.read_text())
    database = Database(as_superuser(project))
    stack.push_async_callback(database.close)
    settings = IdentitySettings(
        issuer=NEW_ISSUER, site_url="http://app.test", secret_key=gotrue.SECRET, limits=NO_LIMITS
    )
    keys = SigningKeys((new_key(),))
    provider = open_provider(database, keys, settings, LogMailer(development=False), InProcessShortTerm())
    stack.push_async_callback(provider.close)
    return await stack.enter_async_context(serve_on_loopback(create_identity_app(provider)))


@pytest_asyncio.fixture(scope="module", params=PROVIDERS)
async def moved_installation(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> AsyncIterator[MovedInstallation]:
    has_gotrue, asymmetric = request.param != "local", request.param == "gotrue-asymmetric"
    old, folder = await make_old_house(tmp_path_factory.mktemp("embedded")), tmp_path_factory.mktemp("project")
    async with AsyncExitStack() as stack:
        http = await stack.enter_async_context(httpx.AsyncClient(timeout=30))
        upstream = gotrue.Upstream("", {})
        if has_gotrue:
            project = await start_gotrue(request.getfixturevalue("binary"), folder, upstream, stack, asymmetric)
        else:
            project = await stack.enter_async_context(open_supabase_project(folder))
        for word in ("app migrate", "to_supabase.py"):
            done = run(word, old, project.replace("+psycopg", "", 1))
            assert done.returncode == 0, done.stdout + done.stderr
        if not has_gotrue:
            upstream.url = await serve_stand_in(project, stack)
        url = await stack.enter_async_context(gotrue.run_gateway(upstream, http))
        settings = Settings(
            _env_file=None,
            data_dir=old.data_dir,
            database_url=project,
            supabase_url=url,
            supabase_publishable_key=gotrue.PUBLISHABLE,
            supabase_secret_key=gotrue.SECRET,
            supabase_jwt_issuer=NEW_ISSUER,
            supabase_jwt_secret=gotrue.JWT_SECRET if has_gotrue and not asymmetric else None,
            former_issuer=ISSUER,
        )
        yield MovedInstallation(old, create_app(await stack.enter_async_context(open_resources(settings))), has_gotrue)


async def start_gotrue(
    binary: GoTrueBinary, folder: Path, upstream: gotrue.Upstream, stack: AsyncExitStack, asymmetric: bool
) -> str:
    keys = gotrue.with_one_signing_key([new_key()]) if asymmetric else ()

    def configure(url: str) -> gotrue.GoTrueSettings:
        address = url.replace("postgresql+psycopg://", "postgres://").replace("postgresql://", "postgres://")
        return gotrue.GoTrueSettings(address, NEW_ISSUER, asymmetric, False, 1, keys)

    project = await stack.enter_async_context(
        open_supabase_project(folder, create_auth=lambda url: gotrue.migrate_gotrue(binary, configure(url)))
    )
    settings = configure(project.replace("//postgres@", "//supabase_auth_admin@"))
    upstream.roles = gotrue.role_tokens(settings)
    upstream.url = await stack.enter_async_context(gotrue.run_gotrue(binary, settings))
    return project


async def test_people_go_on_after_the_move(moved_installation: MovedInstallation) -> None:
    before = moved_installation.old.signed_in
    async with open_client(moved_installation.app, before.access_token) as client:
        projects = (await client.get("/v1/projects")).json()["results"]
        assert projects[0]["id"] in "".join(moved_installation.old.rows["public.projects"]), (
            "the old access token still counts"
        )
        ended = await client.post("/v1/auth/refresh", json={"refresh_token": before.refresh_token})
        assert (ended.status_code, ended.json()["code"]) == (401, "refresh_token_not_found")
        wrong = await client.post("/v1/auth/login", json={"email": before.account.email, "password": "wrong"})
        assert wrong.status_code == 401
        login = await client.post("/v1/auth/login", json={"email": before.account.email, "password": PASSWORD})
    signed_in = login.json()
    assert (login.status_code, signed_in["user"]["id"]) == (200, str(before.account.id))
    assert signed_in["second_factor_required"] is True
    async with open_client(moved_installation.app, signed_in["access_token"]) as client:
        assert (await client.get("/v1/projects")).json()["results"] == projects
        refused = await client.post("/v1/api-keys", json={"name": "app", "scopes": ["projects:read"]})
        assert refused.json()["code"] == "second_factor_required"
        (factor,) = (await client.get("/v1/auth/mfa/factors")).json()
        if moved_installation.has_gotrue:
            code = code_at(moved_installation.old.factor_secret, int(time.time()) // PERIOD_SECONDS)
            raised = await client.post("/v1/auth/mfa/verify", json={"factor_id": factor["id"], "code": code})
            assert raised.status_code == 200
