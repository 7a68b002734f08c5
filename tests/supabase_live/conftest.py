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
GOTRUE_MISSING_STATUS = 6
"""The exit status of a run whose tests passed, but without GoTrue. pytest itself uses 0 to 5."""


def find_wanted_gotrue() -> tuple[GoTrueBinary | None, str]:
    """GoTrue, or why it is missing."""
    try:
        return (find_gotrue() if WANTED == "gotrue" else None), ""
    except GoTrueMissing as missing:
        return None, str(missing)


BINARY, MISSING = find_wanted_gotrue()
PROVIDERS = {"": [], "local": ["local"], "gotrue": ["local"] + ["gotrue-asymmetric", "gotrue-hs256"] * bool(BINARY)}[
    WANTED
]
collect_ignore_glob = [] if PROVIDERS else ["test_*.py"]


def pytest_sessionfinish(session: pytest.Session) -> None:
    if MISSING and session.exitstatus == pytest.ExitCode.OK:
        session.exitstatus = GOTRUE_MISSING_STATUS


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    if MISSING:
        sentence = f"Only the built-in provider was measured, because GoTrue is missing: {MISSING}"
        terminalreporter.write_line(sentence, red=True)


@pytest.fixture(scope="session")
def binary() -> GoTrueBinary:
    assert BINARY is not None, "PROVIDERS names GoTrue only where it was found"
    return BINARY


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


@pytest_asyncio.fixture(params=[name for name in PROVIDERS if name != "gotrue-hs256"])
async def rotating_deployment(
    request: pytest.FixtureRequest, resources: Resources, postgres: EmbeddedPostgres
) -> AsyncIterator[Deployment]:
    """For one test, which changes the signing keys. A shared secret has no second key beside it."""
    async for deployed in deploy(request, resources, postgres, confirms=False):
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
