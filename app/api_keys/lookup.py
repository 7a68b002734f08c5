"""Look up the API key of a request in one round trip. The time of its last use is written later, in batches."""

import asyncio
import datetime as dt
import hmac
from typing import Any
from uuid import UUID

import structlog
from sqlalchemy import text
from sqlalchemy.exc import SQLAlchemyError

from app.api_keys.key import hash_key, parse_key
from app.api_keys.oauth.tokens import ACCESS, read_access_token
from app.core.background_tasks import SupervisedTask
from app.core.database.database import Database
from app.core.ports import KeyGrant

log = structlog.get_logger()
RESOLVE_KEY_SQL = "select * from private.resolve_key(:prefix)"
RECORD_LAST_USED_SQL = text(
    "update api_keys set last_used_at = used.at from unnest(cast(:ids as uuid[]), cast(:times as timestamptz[]))"
    " as used (id, at) where api_keys.id = used.id"
    " and (last_used_at is null or last_used_at <= used.at - interval '1 minute')"
)
WRITE_EVERY_SECONDS = 60
SILENT_AFTER_SECONDS = 3 * WRITE_EVERY_SECONDS


class StoredKeys:
    """The KeyFinder port, implemented with the api_keys table."""

    def __init__(self, database: Database, pepper: bytes) -> None:
        self._database = database
        self._pepper = pepper
        self._used: dict[UUID, dt.datetime] = {}
        self.writer = SupervisedTask("key_usage", self._write_often, silent_after_seconds=SILENT_AFTER_SECONDS)

    def recognises(self, credential: str) -> bool:
        return credential.startswith(("ks_", f"{ACCESS}_"))

    async def find(self, credential: str) -> KeyGrant | None:
        if credential.startswith(ACCESS):
            return await self._find_grant(credential)
        key = parse_key(credential)
        row = await self._database.call_private(RESOLVE_KEY_SQL, {"prefix": key.prefix}) if key else None
        if key is None or row is None:
            return None
        given = hash_key(key.whole, self._pepper)
        if not any(hmac.compare_digest(given, known) for known in (row.secret_hash, row.previous_hash) if known):
            return None
        return self._use(row)

    async def _find_grant(self, credential: str) -> KeyGrant | None:
        """An access token of OAuth carries its own proof, but not whether its grant still stands."""
        prefix = read_access_token(credential, self._pepper)
        row = await self._database.call_private(RESOLVE_KEY_SQL, {"prefix": prefix}) if prefix else None
        return self._use(row, is_delegated=True) if row is not None else None

    def _use(self, row: Any, *, is_delegated: bool = False) -> KeyGrant:
        self._used[row.id] = dt.datetime.now(dt.UTC)
        return KeyGrant(
            key_id=row.id,
            project_id=row.project_id,
            organization_id=row.organization_id,
            scopes=frozenset(row.scopes),
            expires_at=row.expires_at,
            created_by=row.created_by,
            creator_role=row.creator_role,
            is_delegated=is_delegated,
        )

    def start(self) -> None:
        self.writer.start()

    async def _write_often(self) -> None:
        while True:
            await asyncio.sleep(WRITE_EVERY_SECONDS)
            await self.write_last_used()
            self.writer.beat()

    async def write_last_used(self) -> None:
        """What cannot be written is kept and written with the next batch."""
        used, self._used = self._used, {}
        if not used:
            return
        try:
            async with self._database.system() as tx:
                await tx.execute(RECORD_LAST_USED_SQL, {"ids": list(used), "times": list(used.values())})
        except SQLAlchemyError:
            self._used = used | self._used
            raise

    async def close(self) -> None:
        await self.writer.stop()
        try:
            await self.write_last_used()
        except SQLAlchemyError as error:
            log.warning("api_keys.last_used_not_written", exc_info=error)
