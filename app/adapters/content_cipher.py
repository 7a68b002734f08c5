"""AES-256-GCM with a random key for each project, which is stored wrapped by a master key of the operator."""

import asyncio
import base64
import binascii
import hashlib
import hmac
import os
import re
import time
from collections.abc import Collection, Sequence
from dataclasses import dataclass, field
from typing import Any
from uuid import UUID

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from sqlalchemy import text

from app.core.database.content import MARK
from app.core.database.database import Database
from app.core.errors import ConfigurationError, Unavailable
from app.core.ports.content import KNOWN_SECONDS

NONCE_BYTES, KEY_BYTES, ID_BYTES = 12, 32, 16
TAG_BYTES = 6
FORGOTTEN_AFTER_SECONDS = 3600.0
SEALED = re.compile(re.escape(MARK) + r"([A-Za-z0-9_-]{22}):[A-Za-z0-9+/]+={0,2}")
PREFIX_LENGTH = len(MARK) + 23
SELECT_CONTENT_KEYS_SQL = text("""
select id, project_id, wrapped, master_key, extract(epoch from active_from - now())::float8 as seconds_until_active
from content_keys where project_id = :project_id or id = any(:wanted) order by project_id, number
""")
# Content that exists already stays as it is, so that a new setting changes no project without being told to.
INSERT_FIRST_KEY_SQL = text("""
insert into content_keys (id, project_id, number, wrapped, master_key)
select :id, p.id, 1, :wrapped, :master_key from projects p
where p.id = :project_id and not exists (select from memories m where m.project_id = p.id)
  and not exists (select from events e where e.project_id = p.id)
on conflict (project_id, number) do nothing
""")
INSERT_KEY_SQL = text("""
insert into content_keys (id, project_id, number, wrapped, master_key, active_from)
select :id, p.id, coalesce((select max(number) from content_keys k where k.project_id = p.id), 0) + 1, :wrapped,
  :master_key, now() + make_interval(secs => :active_after)
from projects p where p.id = :project_id
""")
DELETE_KEYS_SQL = text("delete from content_keys where project_id = :project_id and id = any(:ids)")
SELECT_KEYS_TO_REWRAP_SQL = text("""
select id, project_id, wrapped, master_key from content_keys
where master_key <> :master_key and project_id = any(:projects)
""")
REWRAP_KEY_SQL = text("update content_keys set wrapped = :wrapped, master_key = :master_key where id = :id")
MISSING_MASTER_KEY = (
    "The content of this project is encrypted with the master key {key}, which is not in CONTENT_KEYS. The operator has"
    " to add that key to CONTENT_KEYS and restart the server. Nothing is lost."
)


@dataclass(frozen=True, slots=True)
class DataKey:
    id: UUID
    project_id: UUID
    cipher: AESGCM
    digest_key: bytes
    active_at: float
    """On the monotonic clock of this process."""
    prefix: str


class MasterKeys:
    """The first one wraps new keys. The others only unwrap, while a rotation replaces them."""

    def __init__(self, secrets: Sequence[str]) -> None:
        keys = [hmac.digest(each.encode(), b"keepsake master key of content", hashlib.sha256) for each in secrets]
        self._ciphers = {_fingerprint(key): AESGCM(key) for key in keys}
        self._tag_keys = [hmac.digest(key, b"ids of data keys", hashlib.sha256) for key in keys]
        self.first = _fingerprint(keys[0])

    def __contains__(self, fingerprint: str) -> bool:
        return fingerprint in self._ciphers

    def new_key_id(self) -> UUID:
        """An id that no user can make up: its end is a tag of its beginning."""
        start = os.urandom(ID_BYTES - TAG_BYTES)
        return UUID(bytes=start + _tag(self._tag_keys[0], start))

    def may_have_made(self, key_id: UUID) -> bool:
        start, tag = key_id.bytes[:-TAG_BYTES], key_id.bytes[-TAG_BYTES:]
        return any(hmac.compare_digest(_tag(key, start), tag) for key in self._tag_keys)

    def wrap(self, project_id: UUID, key_id: UUID, keys: bytes) -> bytes:
        nonce = os.urandom(NONCE_BYTES)
        return nonce + self._ciphers[self.first].encrypt(nonce, keys, project_id.bytes + key_id.bytes)

    def unwrap(self, fingerprint: str, project_id: UUID, key_id: UUID, wrapped: bytes) -> bytes:
        cipher = self._ciphers.get(fingerprint)
        if cipher is None:
            raise Unavailable(MISSING_MASTER_KEY.format(key=fingerprint), code="content_key_missing")
        try:
            return cipher.decrypt(wrapped[:NONCE_BYTES], wrapped[NONCE_BYTES:], project_id.bytes + key_id.bytes)
        except InvalidTag:
            raise DamagedContent("The stored key of this project was changed outside of the server.") from None


class DamagedContent(Unavailable):
    """Content that was changed or moved in the database. It is never returned."""

    code = "content_damaged"


def _fingerprint(key: bytes) -> str:
    """Names a master key without telling anything about it."""
    return hmac.digest(key, b"fingerprint", hashlib.sha256).hex()[:16]


def _tag(tag_key: bytes, start: bytes) -> bytes:
    return hmac.digest(tag_key, start, hashlib.sha256)[:TAG_BYTES]


def new_keys() -> bytes:
    """A data key and the key of digests, which stays when the data key is replaced."""
    return os.urandom(2 * KEY_BYTES)


@dataclass(slots=True)
class ProjectKeys:
    lock: asyncio.Lock = field(default_factory=asyncio.Lock)
    known_until: float = 0.0
    keys: list[DataKey] = field(default_factory=list)
    """In the order of their numbers."""


class ProjectCipher:
    """A `ContentCipher` with the keys that the table `content_keys` holds."""

    def __init__(self, database: Database, masters: MasterKeys, *, encrypts_new_projects: bool = False) -> None:
        self._database = database
        self._masters = masters
        self._encrypts_new_projects = encrypts_new_projects
        self._projects: dict[UUID, ProjectKeys] = {}
        self._keys: dict[UUID, DataKey] = {}
        self._by_prefix: dict[str, DataKey] = {}
        self._wanted: set[UUID] = set()
        self._absent: set[UUID] = set()
        """Ids of keys that were deleted."""

    async def prepare(self, project_id: UUID) -> None:
        known = self._projects.get(project_id)
        if known is not None and time.monotonic() < known.known_until:
            return
        known = self._projects.setdefault(project_id, ProjectKeys())
        async with known.lock:
            if time.monotonic() >= known.known_until:
                await self._load(project_id, known)

    async def _load(self, project_id: UUID, known: ProjectKeys) -> None:
        wanted = list(self._wanted)
        rows = await self._select(project_id, wanted)
        if self._encrypts_new_projects and not any(row.project_id == project_id for row in rows):
            await self._create_first(project_id)
            rows = await self._select(project_id, wanted)
        keys = [self._read(row) for row in rows]
        self._absent.update(set(wanted) - {key.id for key in keys})
        self._wanted.difference_update(wanted)
        self._keys |= {key.id: key for key in keys}
        known.keys = [key for key in keys if key.project_id == project_id]
        known.known_until = time.monotonic() + KNOWN_SECONDS
        self._forget_unused()

    async def _select(self, project_id: UUID, wanted: list[UUID]) -> Sequence[Any]:
        values = {"project_id": project_id, "wanted": wanted}
        return await self._database.system_pipeline((SELECT_CONTENT_KEYS_SQL, values))

    async def _create_first(self, project_id: UUID) -> None:
        key_id = self._masters.new_key_id()
        values = {"id": key_id, "project_id": project_id, "master_key": self._masters.first}
        wrapped = self._masters.wrap(project_id, key_id, new_keys())
        await self._database.system_pipeline((INSERT_FIRST_KEY_SQL, {**values, "wrapped": wrapped}))

    def _read(self, row: Any) -> DataKey:
        known = self._keys.get(row.id)
        if known is not None:
            return known
        keys = self._masters.unwrap(row.master_key, row.project_id, row.id, bytes(row.wrapped))
        active_at = time.monotonic() + max(0.0, row.seconds_until_active)
        return DataKey(row.id, row.project_id, AESGCM(keys[:KEY_BYTES]), keys[KEY_BYTES:], active_at, _prefix(row.id))

    def _forget_unused(self) -> None:
        """The keys of projects that were deleted or are not used."""
        before = time.monotonic() - FORGOTTEN_AFTER_SECONDS
        for project_id in [each for each, known in self._projects.items() if 0 < known.known_until < before]:
            del self._projects[project_id]
        self._keys = {each: key for each, key in self._keys.items() if key.project_id in self._projects}
        self._by_prefix = {key.prefix: key for key in self._keys.values()}

    async def list_prefixes(self, project_id: UUID) -> list[str]:
        rows = await self._select(project_id, [])
        return [_prefix(row.id) for row in rows]

    async def add(self, project_id: UUID, active_after: float) -> None:
        key_id = self._masters.new_key_id()
        known = await self._select(project_id, [])
        # The key of digests stays, so that duplicates are found among what is encrypted again.
        newest = self._read(known[-1]) if known else None
        keys = new_keys()[:KEY_BYTES] + newest.digest_key if newest else new_keys()
        values = {"id": key_id, "project_id": project_id, "active_after": active_after}
        wrapped = {"wrapped": self._masters.wrap(project_id, key_id, keys), "master_key": self._masters.first}
        await self._database.system_pipeline((INSERT_KEY_SQL, {**values, **wrapped}))
        self.forget(project_id)

    async def seconds_until_active(self, project_id: UUID) -> float:
        rows = await self._select(project_id, [])
        return max([0.0, *(float(row.seconds_until_active) for row in rows)])

    async def remove(self, project_id: UUID, prefix: str) -> None:
        ids = [row.id for row in await self._select(project_id, []) if _prefix(row.id) == prefix]
        await self._database.system_pipeline((DELETE_KEYS_SQL, {"project_id": project_id, "ids": ids}))
        self.forget(project_id)

    async def rewrap(self, projects: Sequence[UUID]) -> None:
        values = {"master_key": self._masters.first, "projects": list(projects)}
        for row in await self._database.system_pipeline((SELECT_KEYS_TO_REWRAP_SQL, values)):
            keys = self._masters.unwrap(row.master_key, row.project_id, row.id, bytes(row.wrapped))
            wrapped = self._masters.wrap(row.project_id, row.id, keys)
            new = {"id": row.id, "wrapped": wrapped, "master_key": self._masters.first}
            await self._database.system_pipeline((REWRAP_KEY_SQL, new))

    def forget(self, project_id: UUID) -> None:
        if project_id in self._projects:
            self._projects[project_id].known_until = 0.0
        self._keys = {each: key for each, key in self._keys.items() if key.project_id != project_id}
        self._by_prefix = {key.prefix: key for key in self._keys.values()}

    def is_sealing(self, project_id: UUID) -> bool:
        return self._active_key(project_id) is not None

    def _active_key(self, project_id: UUID) -> DataKey | None:
        known, now = self._projects.get(project_id), time.monotonic()
        return next((key for key in reversed(known.keys) if key.active_at <= now), None) if known else None

    def seal(self, project_id: UUID, record_id: UUID, content: bytes) -> str:
        key, nonce = self._active_key(project_id), os.urandom(NONCE_BYTES)
        assert key is not None
        sealed = key.cipher.encrypt(nonce, content, project_id.bytes + record_id.bytes)
        return key.prefix + base64.b64encode(record_id.bytes + nonce + sealed).decode()

    def open(self, sealed: str, records: Collection[bytes]) -> bytes | None:
        key = self._by_prefix.get(sealed[:PREFIX_LENGTH]) or self._find(sealed)
        if key is None:
            return None
        try:
            body = binascii.a2b_base64(sealed[PREFIX_LENGTH:])
            record, nonce = body[:ID_BYTES], body[ID_BYTES : ID_BYTES + NONCE_BYTES]
            content = key.cipher.decrypt(nonce, body[ID_BYTES + NONCE_BYTES :], key.project_id.bytes + record)
        except (InvalidTag, ValueError):
            raise DamagedContent("Content was changed outside of the server. It is not returned.") from None
        if records and record not in records:
            raise DamagedContent("Content was moved in the database from one record to another. It is not returned.")
        return content

    def _find(self, sealed: str) -> DataKey | None:
        """None if the text does not name a key. A key that is not known yet is read before the next transaction.

        Text of users that names a made-up key has no effect: reading keys again would slow down all projects."""
        match = SEALED.fullmatch(sealed)
        key_id = UUID(bytes=_decode(match[1])) if match else None
        if key_id is None or key_id in self._absent or not self._masters.may_have_made(key_id):
            return None
        self._wanted.add(key_id)
        for known in self._projects.values():
            known.known_until = 0.0
        raise Unavailable("The keys of this project have changed. Repeat the request.", code="content_key_changed")

    def digest(self, project_id: UUID, digest: bytes) -> bytes:
        key = self._active_key(project_id)
        return hmac.digest(key.digest_key, digest, hashlib.sha256) if key else digest


def _prefix(key_id: UUID) -> str:
    return f"{MARK}{_encode(key_id.bytes)}:"


def _encode(data: bytes) -> str:
    return base64.urlsafe_b64encode(data).rstrip(b"=").decode()


def _decode(data: str) -> bytes:
    return base64.urlsafe_b64decode(data + "=" * (-len(data) % 4))


SELECT_MASTER_KEYS_SQL = text("select master_key, count(*) as keys from content_keys group by master_key")


async def check_master_keys(database: Database, masters: MasterKeys | None) -> None:
    """Refuse to start without a key that content needs: otherwise clients would get it encrypted."""
    found = await database.call_private("select to_regclass('public.content_keys') as name", {})
    if found is None or found.name is None:
        return  # the migrations are missing, which readiness reports
    missing = [
        row.master_key
        for row in await database.system_pipeline((SELECT_MASTER_KEYS_SQL, {}))
        if masters is None or row.master_key not in masters
    ]
    if missing:
        raise ConfigurationError(
            f"Content is encrypted with the master key {', '.join(sorted(missing))}, which is not in CONTENT_KEYS. Add"
            " that key, after the one that new keys are wrapped with. Without it, the content cannot be read."
        )
