import uuid
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
import pytest_asyncio
from sqlalchemy import text

from app.adapters.embedded_postgres import EmbeddedPostgres
from app.core.database import Database
from app.core.migrations import migrate
from app.identity.local import GRANTS, SHIM


@pytest_asyncio.fixture(scope="session")
async def postgres(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[EmbeddedPostgres]:
    """One embedded server for each test process, with everything migrated."""
    server = EmbeddedPostgres(Path(tmp_path_factory.mktemp("data")))
    await server.start()
    migrate(server.url("postgres"), [SHIM], [GRANTS])
    yield server
    await server.stop()


@pytest_asyncio.fixture(scope="session")
async def database(postgres: EmbeddedPostgres) -> AsyncIterator[Database]:
    database = Database(postgres.url("keepsake_app"))
    yield database
    await database.close()


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
