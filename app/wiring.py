"""Settings → Resources. The only file that chooses adapters, and the only one that reads settings."""

import asyncio
import base64
import fcntl
import hashlib
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from functools import partial
from pathlib import Path

import httpx
from fastapi import FastAPI

from app.adapters.embedded_postgres import BINARIES, EmbeddedPostgres
from app.adapters.in_process import InProcessCounters, InProcessShortTerm
from app.adapters.onnx import OnnxEmbedder
from app.adapters.pgvector import PgVectorIndex
from app.adapters.qdrant import QdrantIndex, connect_qdrant
from app.adapters.qdrant_edge import QdrantEdgeIndex
from app.adapters.redis import RedisCounters, RedisShortTerm, connect_redis
from app.adapters.supabase import GoTrueIdentity
from app.api_keys.find import StoredKeys
from app.core.background import Background
from app.core.database import RUNTIME_ROLE, Database
from app.core.errors import ConfigurationError
from app.core.migrations import migrate
from app.core.ports import Counters, Embedder, Extractor, LanguageModel, ShortTerm, VectorIndex
from app.core.rate_limit import RateLimits, read_limit
from app.core.resources import Resources
from app.core.values import Values
from app.identity.jwks import JwksCache
from app.identity.local import GRANTS, SHIM
from app.identity.local.house import LocalIdentity, issuer, open_identity
from app.identity.local.keys import load_or_create_keys, load_or_create_secret
from app.identity.local.lockout import Limits
from app.identity.local.mail import LogMailer, Mailer, SmtpMailer, SmtpSettings
from app.identity.local.passwords import PasswordRules
from app.identity.local.server import create_identity_app
from app.identity.local.settings import IdentitySettings
from app.identity.tokens import Issuer, StaticKeys, Verifier
from app.memory.indexing import Indexer
from app.projects.enter import enter_project, leave_everything
from app.settings import Settings, SignupMode, VectorStore

IN_PROCESS_URL = "http://identity.local"


@asynccontextmanager
async def open_resources(
    settings: Settings, *, alone: bool = False, rebuilding: bool = False
) -> AsyncIterator[Resources]:
    """Everything a process holds, closed in reverse order whatever happens.

    `alone`: no second server on DATA_DIR. `rebuilding`: an index made by another embedder may be opened.
    """
    async with AsyncExitStack() as stack:
        database = await open_database(settings, stack, alone=alone)
        counters, short_term = open_short_term(settings, stack)
        embedder = open_embedder(settings, stack)
        index = await open_index(settings, stack, database, embedder, rebuilding=rebuilding)
        index_queue = open_index_queue(stack, database, embedder, index)
        secret = instance_secret(settings)
        local = open_local_identity(settings, stack, database, short_term, secret)
        identity_app = create_identity_app(local) if local else None
        http = await stack.enter_async_context(identity_http(identity_app))
        keys = StoredKeys(database, pepper(secret))
        keys.start()
        stack.push_async_callback(keys.close)
        yield Resources(
            values=plain_values(settings),
            database=database,
            tokens=Verifier(token_issuers(settings, local, http)),
            keys=keys,
            key_pepper=pepper(secret),
            identity=open_identity_client(settings, local, http, secret),
            identity_app=identity_app,
            enter_project=partial(enter_project, database, shared=settings.signup_mode is SignupMode.SHARED),
            erase_account=partial(leave_everything, database),
            limits=rate_limits(settings, counters),
            short_term=short_term,
            embedder=embedder,
            index=index,
            index_queue=index_queue,
            extractor=open_extractor(settings, stack),
            llm=open_model(settings, stack),
            background=await open_background(stack),
            checks={"database": database.healthy, "short_term": short_term.healthy, "index": index.healthy},
            essential=frozenset({"database", "index"}),
        )


@asynccontextmanager
async def open_store(settings: Settings) -> AsyncIterator[Database]:
    """Just the database, migrated: for commands that need nothing else."""
    async with AsyncExitStack() as stack:
        yield await open_database(settings, stack, alone=False)


# ---------------------------------------------------------------- Postgres


async def migrate_database(settings: Settings) -> list[str]:
    async with AsyncExitStack() as stack:
        _, admin_url = await find_postgres(settings, stack, alone=False)
        return await asyncio.to_thread(migrate, admin_url, [SHIM], [GRANTS])


async def find_postgres(settings: Settings, stack: AsyncExitStack, *, alone: bool) -> tuple[str, str]:
    """Where to work as the runtime role, and where to migrate."""
    if settings.database_url is None:
        return await start_embedded(settings, stack, alone=alone)
    url = normal_url(settings.database_url.get_secret_value(), "DATABASE_URL")
    admin = settings.admin_database_url
    return url, normal_url(admin.get_secret_value(), "ADMIN_DATABASE_URL") if admin else url


async def open_database(settings: Settings, stack: AsyncExitStack, *, alone: bool) -> Database:
    url, admin_url = await find_postgres(settings, stack, alone=alone)
    if settings.auto_migrate:
        await asyncio.to_thread(migrate, admin_url, [SHIM], [GRANTS])
    database = Database(url, pool_size=settings.database_pool_size)
    stack.push_async_callback(database.close)
    return database


async def start_embedded(settings: Settings, stack: AsyncExitStack, *, alone: bool) -> tuple[str, str]:
    if alone:
        claim_data_dir(settings.data_dir, stack)
    server = EmbeddedPostgres(settings.data_dir)
    await server.start()
    stack.push_async_callback(server.stop)
    return server.url(RUNTIME_ROLE), server.url("postgres")


def postgres_binary(name: str) -> Path:
    """Postgres' own programs, as the embedded server ships them."""
    return BINARIES / name


def claim_data_dir(data_dir: Path, stack: AsyncExitStack) -> None:
    """Two servers would share the database but not the index, the caches or the counters."""
    data_dir.mkdir(parents=True, exist_ok=True)
    lock = stack.enter_context((data_dir / "serve.lock").open("ab"))
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        raise ConfigurationError(
            f"Another server already runs on DATA_DIR ({data_dir.resolve()}): stop it, set DATA_DIR to another folder,"
            " or set DATABASE_URL and QDRANT_URL to run several servers together"
        ) from None


def normal_url(url: str, name: str) -> str:
    """Any spelling of a Postgres address, as SQLAlchemy wants it."""
    scheme, separator, rest = url.partition("://")
    if not separator or scheme.split("+")[0] not in ("postgres", "postgresql"):
        raise ConfigurationError(f"{name} is not a Postgres address: write postgresql://user:password@host:5432/name")
    return f"postgresql+psycopg://{rest}"


# ---------------------------------------------------------------- short-term memory and limits


def open_short_term(settings: Settings, stack: AsyncExitStack) -> tuple[Counters, ShortTerm]:
    if settings.redis_url is None:
        counters, short_term = InProcessCounters(), InProcessShortTerm()
        stack.push_async_callback(short_term.close)
        return counters, short_term
    client = connect_redis(settings.redis_url.get_secret_value())
    stack.push_async_callback(client.aclose)
    return RedisCounters(client), RedisShortTerm(client)


def rate_limits(settings: Settings, counters: Counters) -> RateLimits:
    read_limit("rate_limit_auth", settings.rate_limit_auth)
    return RateLimits(
        counters,
        user=read_limit("rate_limit_user", settings.rate_limit_user),
        project=read_limit("rate_limit_project", settings.rate_limit_project),
        everyone=read_limit("rate_limit_global", settings.rate_limit_global),
        chat=read_limit("rate_limit_chat", settings.rate_limit_chat),
    )


# ---------------------------------------------------------------- accounts


def instance_secret(settings: Settings) -> str:
    if settings.secret_key:
        return settings.secret_key.get_secret_value()
    return load_or_create_secret(settings.data_dir / "identity")


def pepper_of(settings: Settings) -> bytes:
    return pepper(instance_secret(settings))


def pepper(secret: str) -> bytes:
    return hashlib.sha256(b"keepsake api keys " + secret.encode()).digest()


def open_local_identity(
    settings: Settings, stack: AsyncExitStack, database: Database, memory: ShortTerm, secret: str
) -> LocalIdentity | None:
    if settings.supabase_url:
        return None
    local = open_identity(
        database,
        load_or_create_keys(settings.data_dir / "identity"),
        IdentitySettings(
            issuer=f"{settings.base_url}/auth/v1",
            site_url=settings.site_url or settings.base_url,
            secret_key=secret,
            redirect_urls=tuple(f"{origin}/*" for origin in settings.cors_origins),
            autoconfirm=not needs_confirmation(settings),
            signups_open=settings.signup_mode is not SignupMode.CLOSED,
            limits=Limits(requests_per_address=settings.sign_ups_per_address),
            passwords=PasswordRules(shortest=settings.password_min_length),
            access_token_seconds=settings.access_token_seconds,
        ),
        open_mailer(settings),
        memory,
    )
    stack.push_async_callback(local.close)
    return local


def needs_confirmation(settings: Settings) -> bool:
    return settings.mail_confirm if settings.mail_confirm is not None else settings.smtp_host is not None


def open_mailer(settings: Settings) -> Mailer:
    if settings.smtp_host is None:
        return LogMailer(development=settings.development)
    password = settings.smtp_password.get_secret_value() if settings.smtp_password else None
    return SmtpMailer(
        SmtpSettings(
            host=settings.smtp_host,
            port=settings.smtp_port,
            username=settings.smtp_username,
            password=password,
            sender=settings.smtp_from,
            security=settings.smtp_security,
        )
    )


def identity_http(identity_app: FastAPI | None) -> httpx.AsyncClient:
    """One pool for Supabase; for our own provider a transport that never leaves the process."""
    if identity_app:
        return httpx.AsyncClient(transport=httpx.ASGITransport(app=identity_app), timeout=30)
    return httpx.AsyncClient(timeout=10, limits=httpx.Limits(max_connections=50))


def open_identity_client(
    settings: Settings, local: LocalIdentity | None, http: httpx.AsyncClient, secret: str
) -> GoTrueIdentity:
    if local:
        return GoTrueIdentity(IN_PROCESS_URL, http, publishable_key=secret, secret_key=secret)
    if settings.supabase_publishable_key is None:
        raise ConfigurationError("SUPABASE_URL needs SUPABASE_PUBLISHABLE_KEY: copy it from the project's API settings")
    service = settings.supabase_secret_key
    return GoTrueIdentity(
        f"{settings.supabase_url}/auth/v1",
        http,
        publishable_key=settings.supabase_publishable_key.get_secret_value(),
        secret_key=service.get_secret_value() if service else None,
    )


def token_issuers(settings: Settings, local: LocalIdentity | None, http: httpx.AsyncClient) -> list[Issuer]:
    """Whose tokens count. After a move to Supabase the old key's tokens stay good until they expire."""
    if local:
        return [issuer(local.keys, local.settings.issuer)]
    name = f"{settings.supabase_url}/auth/v1"
    if settings.supabase_jwt_secret:
        secret = settings.supabase_jwt_secret.get_secret_value()
        return [Issuer(name, StaticKeys([hs256_key(secret)]), frozenset({"HS256"}))]
    return [Issuer(name, JwksCache(f"{name}/.well-known/jwks.json", http)), *former_issuers(settings)]


def former_issuers(settings: Settings) -> list[Issuer]:
    if not settings.former_issuer:
        return []
    keys = load_or_create_keys(settings.data_dir / "identity")
    return [issuer(keys, settings.former_issuer)]


def hs256_key(secret: str) -> dict[str, object]:
    encoded = base64.urlsafe_b64encode(secret.encode()).decode().rstrip("=")
    return {"kty": "oct", "alg": "HS256", "k": encoded}


# ---------------------------------------------------------------- memory and models


def open_embedder(settings: Settings, stack: AsyncExitStack) -> Embedder:
    embedder = OnnxEmbedder()
    stack.push_async_callback(embedder.close)
    return embedder


async def open_index(
    settings: Settings, stack: AsyncExitStack, database: Database, embedder: Embedder, *, rebuilding: bool
) -> VectorIndex:
    index = await choose_index(settings, database, embedder)
    stack.push_async_callback(index.close)
    made_by = await index.made_by()
    if made_by not in (None, (embedder.name, embedder.dimensions)) and not rebuilding:
        raise ConfigurationError(
            f"The index was made by {made_by[0] if made_by else ''}, but EMBEDDER now means {embedder.name}:"
            " run `python -m app reindex` with the new settings, or set EMBEDDER back"
        )
    return index


async def choose_index(settings: Settings, database: Database, embedder: Embedder) -> VectorIndex:
    chosen = settings.vector_store or (VectorStore.QDRANT if settings.qdrant_url else VectorStore.EDGE)
    made = (embedder.name, embedder.dimensions)
    if chosen is VectorStore.PGVECTOR:
        return await PgVectorIndex.open(database, *made)
    if chosen is VectorStore.EDGE:
        return await QdrantEdgeIndex.open(settings.data_dir / "index", *made)
    if settings.qdrant_url is None:
        raise ConfigurationError("VECTOR_STORE=qdrant needs QDRANT_URL: set it to your Qdrant's address")
    key = settings.qdrant_api_key.get_secret_value() if settings.qdrant_api_key else None
    client = connect_qdrant(settings.qdrant_url, key)
    return await QdrantIndex.open(client, *made, name=settings.qdrant_collection)


def open_index_queue(stack: AsyncExitStack, database: Database, embedder: Embedder, index: VectorIndex) -> Indexer:
    queue = Indexer(database, embedder, index)
    queue.start()
    stack.push_async_callback(queue.close)
    return queue


def open_extractor(settings: Settings, stack: AsyncExitStack) -> Extractor: ...
def open_model(settings: Settings, stack: AsyncExitStack) -> LanguageModel: ...


async def open_background(stack: AsyncExitStack) -> Background:
    background = Background()
    stack.push_async_callback(background.close)
    return background


# ---------------------------------------------------------------- the rest


def has_model(settings: Settings) -> bool:
    return bool(settings.llm_base_url or settings.llm_api_key or settings.openai_api_key)


def plain_values(settings: Settings) -> Values:
    return Values(
        base_url=settings.base_url,
        auth_limit=settings.rate_limit_auth,
        recall_candidates=settings.recall_candidates,
        recency_half_life_days=settings.recency_half_life_days,
        context_tokens=settings.llm_context_tokens,
        answer_tokens=settings.llm_answer_tokens,
        turn_seconds=settings.llm_timeout_seconds * 3,
        recalled_memories=settings.recalled_memories,
        recall_threshold=settings.recall_threshold,
        summarizes=has_model(settings),
        cors_origins=tuple(settings.cors_origins),
        max_body_bytes=settings.max_body_bytes,
        request_timeout_seconds=settings.request_timeout_seconds,
        development=settings.development,
    )
