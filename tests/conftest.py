import datetime as dt
import gc
import logging
import os
import sys
import uuid
from collections.abc import AsyncIterator, Awaitable, Callable, Generator, Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import httpx
import psycopg
import pytest
import pytest_asyncio
from fastapi import FastAPI
from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncEngine, create_async_engine

from app.adapters.embedded_postgres import EmbeddedPostgres
from app.api_keys.repository import ApiKeyRepository
from app.core.database.database import Database
from app.core.database.migrations import migrate
from app.core.observability.logging import configure_logging
from app.core.resources import Resources
from app.identity.local import GRANTS, SHIM
from app.identity.local.provider import IdentityProvider
from app.identity.local.security.passwords import PasswordHasher
from app.identity.scopes import EVERYTHING
from app.main import create_app
from app.settings import Settings
from app.wiring import open_resources
from app.wiring.postgres import encrypt_content
from app.worker import run_jobs
from tests import tracing
from tests.contracts.milvus import MilvusServer, start_milvus_lite
from tests.loopback import serve_on_loopback
from tests.model_server import ModelServer
from tests.webhooks.receiver import Receiver, open_receiver

configure_logging("INFO", as_json=False)
# Tests start dozens of processes, and each would compile the application again, which takes a second of the processor.
os.environ.pop("PYTHONDONTWRITEBYTECODE", None)
sys.dont_write_bytecode = False

POSTGRES = pytest.StashKey[EmbeddedPostgres]()
SLOW = tuple(f"tests/{name}" for name in ("web/", "e2e/", "faults/", "test_docs.py", "test_openapi.py"))


@pytest.hookimpl(wrapper=True)
def pytest_collection(session: pytest.Session) -> Generator[None, object, object]:
    with tracing.collecting(session.config):
        return (yield)


@pytest.hookimpl(wrapper=True)
def pytest_runtest_protocol(item: pytest.Item, nextitem: pytest.Item | None) -> Generator[None, object, object]:
    with tracing.around_test(item, nextitem):
        return (yield)


@pytest.hookimpl(wrapper=True)
def pytest_runtest_call(item: pytest.Item) -> Generator[None, object, object]:
    with tracing.calling(item):
        return (yield)


@pytest.hookimpl(wrapper=True)
def pytest_fixture_setup(
    fixturedef: pytest.FixtureDef[object], request: pytest.FixtureRequest
) -> Generator[None, object, object]:
    with tracing.setting_up(fixturedef, request.config):
        return (yield)


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """The slow tests come first, so that at the end no process works while the others have nothing left."""
    tracing.mark_first_of_each_file(items)
    items.sort(key=lambda item: not item.nodeid.startswith(SLOW))


def pytest_collection_finish() -> None:
    gc.freeze()


@pytest_asyncio.fixture(scope="session")
async def postgres(
    tmp_path_factory: pytest.TempPathFactory, pytestconfig: pytest.Config
) -> AsyncIterator[EmbeddedPostgres]:
    """One embedded server for each test process, with everything migrated."""
    server = EmbeddedPostgres(Path(tmp_path_factory.mktemp("data")))
    await server.start()
    with psycopg.connect(server.url("postgres").replace("+psycopg", ""), autocommit=True) as connection:
        # Its data are gone after the tests, and waiting for the disk takes most of the time of a commit.
        connection.execute("alter system set fsync = off")
        connection.execute("select pg_reload_conf()")
    migrate(server.url("postgres"), [SHIM], [GRANTS])
    pytestconfig.stash[POSTGRES] = server
    yield server
    del pytestconfig.stash[POSTGRES]
    await server.stop()


@pytest.fixture(scope="module", autouse=True)
def empty_queue(pytestconfig: pytest.Config) -> Iterator[None]:
    """Jobs that the tests of a file leave are not done by the workers of later files, which would wait for them."""
    yield
    if server := pytestconfig.stash.get(POSTGRES, None):
        with psycopg.connect(server.url("postgres").replace("+psycopg", ""), autocommit=True) as connection:
            connection.execute("set search_path = jobs")
            connection.execute("delete from procrastinate_jobs")


@pytest_asyncio.fixture(scope="session")
async def database(postgres: EmbeddedPostgres) -> AsyncIterator[Database]:
    database = Database(postgres.url("keepsake_app"))
    encrypt_content(database, Settings(_env_file=None))
    yield database
    await database.close()


@pytest_asyncio.fixture(scope="session")
async def admin_engine(postgres: EmbeddedPostgres) -> AsyncIterator[AsyncEngine]:
    """Postgres as the superuser, to whom row-level security does not apply."""
    engine = create_async_engine(postgres.url("postgres"))
    yield engine
    await engine.dispose()


@pytest_asyncio.fixture
async def project_id(database: Database) -> uuid.UUID:
    """A fresh project per test is the isolation: nothing is ever cleaned up."""
    async with database.system() as tx:
        organization = uuid.uuid4()
        await tx.execute(
            text("insert into organizations (id, name) values (:id, 'Test')"),
            {"id": organization},
        )
        project = uuid.uuid4()
        await tx.execute(
            text("insert into projects (id, organization_id, name) values (:id, :organization, 'Test')"),
            {"id": project, "organization": organization},
        )
    return project


@dataclass(frozen=True)
class SignedUp:
    """An account, and a client that sends its access token."""

    client: httpx.AsyncClient
    account_id: uuid.UUID
    project_id: uuid.UUID
    email: str
    password: str
    tokens: dict[str, Any]


@dataclass(frozen=True)
class KeyHolder:
    """An application with an API key."""

    client: httpx.AsyncClient
    project_id: uuid.UUID
    key: str


PASSWORD = "correct horse battery"


@pytest_asyncio.fixture(scope="session")
async def settings(postgres: EmbeddedPostgres, tmp_path_factory: pytest.TempPathFactory) -> Settings:
    """The defaults of a fresh installation, except that Postgres is already running."""
    return Settings(
        _env_file=None,
        data_dir=tmp_path_factory.mktemp("app"),
        database_url=postgres.url("keepsake_app"),
        admin_database_url=postgres.url("postgres"),
        sign_ups_per_address=1_000_000,
        rate_limit_auth="100000/minute",
        rate_limit_user="100000/minute",
        rate_limit_project="100000/minute",
        rate_limit_global="1000000/minute",
        rate_limit_chat="100000/minute",
    )


def with_quick_passwords(provider: IdentityProvider) -> IdentityProvider:
    """A hash of the cost in use takes 60 ms of CPU, and the tests make a thousand."""
    return replace(provider, hasher=PasswordHasher(cost=4))


@pytest_asyncio.fixture(scope="session")
async def resources(settings: Settings) -> AsyncIterator[Resources]:
    async with open_resources(settings) as resources:
        assert resources.identity_app
        provider = with_quick_passwords(resources.identity_app.state.provider)
        resources.identity_app.state.provider = provider
        yield resources
        provider.hasher.close()


@pytest.fixture(scope="session")
def app(resources: Resources) -> FastAPI:
    return create_app(resources)


def open_client(app: FastAPI, credential: str | None = None) -> httpx.AsyncClient:
    headers = {"Authorization": f"Bearer {credential}"} if credential else {}
    transport = httpx.ASGITransport(app=app, raise_app_exceptions=False)
    return httpx.AsyncClient(transport=transport, base_url="http://test", headers=headers, timeout=30)


@pytest_asyncio.fixture
async def anonymous(app: FastAPI) -> AsyncIterator[httpx.AsyncClient]:
    async with open_client(app) as client:
        yield client


MakeKey = Callable[..., Awaitable[KeyHolder]]


@pytest_asyncio.fixture
async def make_key(app: FastAPI, resources: Resources, project_id: uuid.UUID) -> AsyncIterator[MakeKey]:
    """Issues keys for the test's own project or another one, with all scopes or the given ones."""
    opened: list[httpx.AsyncClient] = []

    async def make(*scopes: str, project: uuid.UUID | None = None, expires_at: dt.datetime | None = None) -> KeyHolder:
        of = project or project_id
        async with resources.database.transaction(of) as tx:
            _, key = await ApiKeyRepository(tx, of).issue(
                resources.key_pepper,
                name="test",
                scopes=list(scopes) or sorted(EVERYTHING),
                expires_at=expires_at,
                created_by=None,
            )
        opened.append(open_client(app, key))
        return KeyHolder(opened[-1], of, key)

    yield make
    for client in opened:
        await client.aclose()


@pytest_asyncio.fixture
async def key_holder(make_key: MakeKey) -> KeyHolder:
    """An application with an API key of the test's project, with every scope."""
    return await make_key()


@pytest.fixture
def client(key_holder: KeyHolder) -> httpx.AsyncClient:
    return key_holder.client


SignUp = Callable[..., Awaitable[SignedUp]]


@pytest_asyncio.fixture
async def sign_up(app: FastAPI, anonymous: httpx.AsyncClient) -> AsyncIterator[SignUp]:
    opened: list[httpx.AsyncClient] = []

    async def make(email: str | None = None) -> SignedUp:
        email = email or f"{uuid.uuid4().hex[:12]}@example.com"
        response = await anonymous.post("/v1/auth/signup", json={"email": email, "password": PASSWORD})
        assert response.status_code == 200, response.text
        tokens = response.json()
        opened.append(open_client(app, tokens["access_token"]))
        projects = (await opened[-1].get("/v1/projects")).json()["results"]
        account = uuid.UUID(tokens["user"]["id"])
        return SignedUp(opened[-1], account, uuid.UUID(projects[0]["id"]), email, PASSWORD, tokens)

    yield make
    for client in opened:
        await client.aclose()


@pytest_asyncio.fixture
async def owner(sign_up: SignUp) -> SignedUp:
    """An account that owns a project."""
    return await sign_up()


@pytest_asyncio.fixture(scope="session")
async def app_url(app: FastAPI) -> AsyncIterator[str]:
    """The address of the app on loopback, for clients that open their own connections."""
    async with serve_on_loopback(app) as url:
        yield url


@pytest_asyncio.fixture(scope="module")
async def server_url(app_url: str, resources: Resources) -> AsyncIterator[str]:
    """The address of the app, while a worker runs its jobs."""
    async with run_jobs(resources, concurrency=2):
        yield app_url


@pytest.fixture(scope="session")
def shared_model_server() -> Iterator[ModelServer]:
    with ModelServer() as server:
        yield server


@pytest.fixture
def model_server(shared_model_server: ModelServer) -> ModelServer:
    shared_model_server.forget()
    return shared_model_server


@pytest.fixture(scope="session")
def milvus_lite(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """The address of a server that speaks Milvus' protocol, in a thread."""
    server, database, url = start_milvus_lite(tmp_path_factory.mktemp("milvus") / "lite.db")
    yield url
    server.stop(grace=1)
    database.close()


@pytest.fixture(scope="session")
def milvus_server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """The address of a real Milvus server."""
    server = MilvusServer(tmp_path_factory.mktemp("milvus_server"))
    server.start()
    yield server.url
    server.kill()


@pytest_asyncio.fixture
async def receiver() -> AsyncIterator[Receiver]:
    async with open_receiver() as receiver:
        yield receiver


@pytest.fixture
def debug_logging() -> Iterator[None]:
    """Enables debug logs of the app and of all libraries."""
    root = logging.getLogger()
    level, handlers = root.level, list(root.handlers)
    configure_logging("DEBUG", as_json=True)
    root.setLevel(logging.DEBUG)
    yield
    configure_logging("INFO", as_json=False)
    root.setLevel(level)
    root.handlers[:] = handlers
