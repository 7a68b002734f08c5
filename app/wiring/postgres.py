"""Opens the embedded Postgres or the one of DATABASE_URL."""

import asyncio
import fcntl
from contextlib import AsyncExitStack
from pathlib import Path

from app.adapters.content_cipher import MasterKeys, ProjectCipher, check_master_keys
from app.adapters.embedded_postgres import BINARIES, EmbeddedPostgres
from app.core.background_tasks import SupervisedTask
from app.core.database.database import RUNTIME_ROLE, Database
from app.core.database.migrations import migrate
from app.core.errors import ConfigurationError
from app.identity.local import GRANTS, SHIM
from app.settings import Settings


async def migrate_database(settings: Settings) -> list[str]:
    async with AsyncExitStack() as stack:
        _, admin_url = await find_postgres(settings, stack, alone=False)
        return await asyncio.to_thread(migrate, admin_url, [SHIM], [GRANTS])


async def find_postgres(
    settings: Settings, stack: AsyncExitStack, *, alone: bool, supervised: list[SupervisedTask] | None = None
) -> tuple[str, str]:
    """The URL for the runtime role and the URL for migrations."""
    if settings.database_url is None:
        server = await start_embedded(settings, stack, alone=alone)
        if supervised is not None:
            supervised.append(server.watch)
        return server.url(RUNTIME_ROLE), server.url("postgres")
    url = normalize_url(settings.database_url.get_secret_value(), "DATABASE_URL")
    admin = settings.admin_database_url
    return url, normalize_url(admin.get_secret_value(), "ADMIN_DATABASE_URL") if admin else url


async def open_database(
    settings: Settings, stack: AsyncExitStack, *, alone: bool, supervised: list[SupervisedTask] | None = None
) -> Database:
    url, admin_url = await find_postgres(settings, stack, alone=alone, supervised=supervised)
    if settings.auto_migrate:
        await asyncio.to_thread(migrate, admin_url, [SHIM], [GRANTS])
    database = Database(url, pool_size=settings.database_pool_size)
    stack.push_async_callback(database.close)
    await check_master_keys(database, encrypt_content(database, settings))
    return database


def encrypt_content(database: Database, settings: Settings) -> MasterKeys | None:
    """Returns the master keys, if there are any."""
    secrets = [each.get_secret_value() for each in settings.content_keys]
    if not secrets:
        return None
    masters = MasterKeys(secrets)
    cipher = ProjectCipher(database, masters, encrypts_new_projects=settings.encrypt_new_projects)
    database.encrypt_content(cipher, cipher)
    return masters


async def start_embedded(settings: Settings, stack: AsyncExitStack, *, alone: bool) -> EmbeddedPostgres:
    if alone:
        claim_data_dir(settings.data_dir, stack)
    server = EmbeddedPostgres(settings.data_dir)
    await server.start()
    stack.push_async_callback(server.stop)
    return server


def postgres_binary(name: str) -> Path:
    """The path of a program of the embedded Postgres."""
    return BINARIES / name


def claim_data_dir(data_dir: Path, stack: AsyncExitStack) -> None:
    """Refuse a second server on the same folder: it would share the database, but not index, caches and counters."""
    data_dir.mkdir(mode=0o700, parents=True, exist_ok=True)
    lock = stack.enter_context((data_dir / "serve.lock").open("ab"))
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        raise ConfigurationError(
            f"Another server uses DATA_DIR ({data_dir.resolve()}). Stop it, set DATA_DIR to another folder,"
            " or set DATABASE_URL and QDRANT_URL to run several servers."
        ) from None


def normalize_url(url: str, name: str) -> str:
    """The form of a Postgres URL that SQLAlchemy expects."""
    scheme, separator, rest = url.partition("://")
    if not separator or scheme.split("+")[0] not in ("postgres", "postgresql"):
        raise ConfigurationError(f"{name} is not a Postgres URL. Write postgresql://user:password@host:5432/name.")
    return f"postgresql+psycopg://{rest}"
