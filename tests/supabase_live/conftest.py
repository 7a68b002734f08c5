"""The same flows against the built-in provider and, with `make test-supabase`, against a real GoTrue.

They run only on request: `SUPABASE_LIVE=local` runs those of the built-in provider, `SUPABASE_LIVE=gotrue` all of them.
"""

import os
from collections.abc import AsyncIterator

import pytest
import pytest_asyncio

from app.adapters.embedded_postgres import EmbeddedPostgres
from app.core.resources import Resources
from tests.supabase_live.deployments import Deployment, deploy_gotrue, deploy_local
from tests.supabase_live.gotrue import GoTrueBinary, GoTrueMissing, find_gotrue

WANTED = os.environ.get("SUPABASE_LIVE", "")
PROVIDERS = {"": [], "local": ["local"], "gotrue": ["local", "gotrue-asymmetric", "gotrue-hs256"]}[WANTED]
collect_ignore_glob = [] if PROVIDERS else ["test_*.py"]


@pytest.fixture(scope="session")
def binary() -> GoTrueBinary:
    try:
        return find_gotrue()
    except GoTrueMissing as missing:
        pytest.exit(f"GoTrue is missing: {missing}", returncode=3)


@pytest_asyncio.fixture(scope="module", params=PROVIDERS)
async def deployment(
    request: pytest.FixtureRequest, resources: Resources, postgres: EmbeddedPostgres
) -> AsyncIterator[Deployment]:
    """Confirms addresses by itself."""
    async for deployed in deploy(request, resources, postgres, confirms=False):
        yield deployed


@pytest_asyncio.fixture(scope="module", params=PROVIDERS)
async def mailing_deployment(
    request: pytest.FixtureRequest, resources: Resources, postgres: EmbeddedPostgres
) -> AsyncIterator[Deployment]:
    """Confirms addresses by e-mail, and lets people in without an address."""
    async for deployed in deploy(request, resources, postgres, confirms=True):
        yield deployed


async def deploy(
    request: pytest.FixtureRequest, resources: Resources, postgres: EmbeddedPostgres, *, confirms: bool
) -> AsyncIterator[Deployment]:
    if request.param == "local":
        async with deploy_local(resources, postgres.url("postgres"), confirms=confirms) as deployed:
            yield deployed
        return
    factory: pytest.TempPathFactory = request.getfixturevalue("tmp_path_factory")
    found: GoTrueBinary = request.getfixturevalue("binary")
    folder, asymmetric = factory.mktemp("gotrue"), request.param == "gotrue-asymmetric"
    async with deploy_gotrue(found, folder, asymmetric=asymmetric, confirms=confirms) as deployed:
        yield deployed
