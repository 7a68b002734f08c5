"""Looks for planted strings in everything that a server stores: rows, keys of Redis, and files."""

import asyncio
import base64
import json
import subprocess
import sys
import uuid
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from urllib.parse import quote

import httpx
from redis.asyncio import Redis
from sqlalchemy.ext.asyncio import AsyncEngine, create_async_engine

from app.adapters.embedded_postgres import EmbeddedPostgres
from tests.chat.conversation import AdminRows
from tests.e2e.redis_server import RedisServer
from tests.e2e.server import ROOT, KeepsakeServer, environment
from tests.erasure.planting import Planted

EVERY_TABLE_SQL = (
    "select format('%I.%I', schemaname, tablename) as name from pg_tables where schemaname !~ '^pg_|^info'"
)


@dataclass(frozen=True)
class Marks:
    """Where the strings of one user are: in rows, in keys of Redis, and in files."""

    rows: set[str] = field(default_factory=set)
    redis: set[str] = field(default_factory=set)
    files: set[str] = field(default_factory=set)
    write_ahead_log: set[str] = field(default_factory=set)

    @property
    def everywhere(self) -> set[str]:
        return self.rows | self.redis | self.files


@dataclass
class Place:
    data_dir: Path
    redis: RedisServer
    admin: AsyncEngine

    async def look_for(self, planted: Planted) -> Marks:
        await self.run("checkpoint")
        files, log = await asyncio.to_thread(self._in_files, planted)
        return Marks(await self._in_rows(planted), await self._in_redis(planted), files, log)

    async def run(self, statement: str) -> None:
        async with self.admin.connect() as connection:
            autocommit = await connection.execution_options(isolation_level="AUTOCOMMIT")
            await autocommit.exec_driver_sql(statement)

    async def _in_rows(self, planted: Planted) -> set[str]:
        admin, found = AdminRows(self.admin), set[str]()
        for table in await admin.select_all(EVERY_TABLE_SQL):
            found |= marks_in(
                planted,
                "\n".join(row[0] for row in await admin.select_all(f"select t::text from {table.name} t")).encode(),
            )
        return found

    async def _in_redis(self, planted: Planted) -> set[str]:
        """Hashes and sorted sets hold the names of windows."""
        client, found = Redis.from_url(self.redis.url), set[str]()
        async for key in client.scan_iter():
            content = [key, str(await client.type(key)).encode()]
            if b"string" in content[1]:
                content.append(await client.get(key) or b"")
            elif b"hash" in content[1]:
                content += [str(part).encode() for part in await client.hgetall(key)]
            else:
                content += [str(part).encode() for part in await client.zrange(key, 0, -1)]
            found |= marks_in(planted, b" ".join(content))
        await client.aclose()
        return found

    def _in_files(self, planted: Planted) -> tuple[set[str], set[str]]:
        found: dict[bool, set[str]] = {True: set(), False: set()}
        for path in self.data_dir.rglob("*"):
            if path.is_file():
                found["pg_wal" in path.parts] |= marks_in(planted, path.read_bytes())
        return found[False], found[True]


def forms(text: str) -> Iterator[bytes]:
    """Plain, as JSON and an address write it, as Postgres shows bytes, in UTF-16, and in base64 at each offset."""
    plain = text.encode()
    yield from (
        plain,
        json.dumps(text)[1:-1].encode(),
        quote(text).encode(),
        plain.hex().encode(),
        text.encode("utf-16-le"),
        text.encode("utf-16-be"),
    )
    for offset in range(3):
        encoded = base64.b64encode(b"\0" * offset + plain)
        yield encoded[4 if offset else 0 : -4]


def marks_in(planted: Planted, content: bytes) -> set[str]:
    if not any(form in content for form in forms(planted.prefix)):
        return set()
    return {mark for mark in planted.markers if any(form in content for form in forms(mark))}


async def sign_in(keepsake: KeepsakeServer) -> tuple[httpx.AsyncClient, uuid.UUID]:
    client = httpx.AsyncClient(base_url=keepsake.address, timeout=60)
    account = {"email": "owner@example.com", "password": "correct horse battery"}
    signed_up = await client.post("/v1/auth/signup", json=account)
    client.headers["Authorization"] = f"Bearer {signed_up.json()['access_token']}"
    project = (await client.get("/v1/projects")).json()["results"][0]["id"]
    key = (await client.post("/v1/api-keys", json={"name": "application"})).json()["key"]
    client.headers["Authorization"] = f"Bearer {key}"
    return client, uuid.UUID(project)


def compact(data_dir: Path) -> None:
    command = [sys.executable, "-m", "app", "compact", "--data-dir", str(data_dir)]
    done = subprocess.run(
        command, cwd=ROOT, env=environment(data_dir, DATABASE_URL=""), capture_output=True, text=True, check=False
    )
    assert "Rewrote" in done.stdout, done.stderr


@asynccontextmanager
async def opened_place(data_dir: Path, redis: RedisServer) -> AsyncIterator[Place]:
    """Postgres of a running server, as the superuser."""
    postgres = EmbeddedPostgres(data_dir)
    await postgres.start()
    admin = create_async_engine(postgres.url("postgres"))
    try:
        yield Place(data_dir, redis, admin)
    finally:
        await admin.dispose()
        await postgres.stop()
