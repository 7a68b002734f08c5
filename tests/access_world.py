"""Two projects with every kind of caller: what each sends, and which status the table expects."""

import datetime as dt
import hashlib
import time
import uuid
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from enum import Enum, auto

from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncEngine, AsyncSession

from app.api_keys.key import make_key
from app.api_keys.repository import ApiKeyRepository
from app.identity.local.security.keys import SigningKeys
from app.identity.scopes import EVERYTHING, Scope
from tests.access_table import OBJECTS, OK, Rule
from tests.rows import Corner, Row, fill_in, insert_row, make_account, make_project, stored_message

NEW_SESSION = text("insert into auth.sessions (id, user_id, created_at, aal) values (:id, :account, now(), 'aal1')")


class Who(Enum):
    NOBODY = auto()
    KEY = auto()
    KEY_OF_B = auto()
    OWNER = auto()
    READER = auto()
    USER = auto()
    OWNER_OF_B = auto()


@dataclass(frozen=True)
class Credential:
    name: str
    who: Who
    value: str | None
    scopes: frozenset[Scope] = frozenset()

    @property
    def headers(self) -> dict[str, str]:
        return {"Authorization": f"Bearer {self.value}"} if self.value else {}


@dataclass(frozen=True)
class World:
    credentials: Sequence[Credential]
    names: dict[str, str]
    """What the table's placeholders stand for."""


def expected(rule: Rule, asking: Credential, request: str) -> int:
    if rule.public is not None:
        return rule.public
    stranger = rule.stranger or (404 if OBJECTS.search(request) else OK)
    people = {Who.OWNER: rule.owner, Who.READER: rule.reader, Who.USER: rule.user, Who.OWNER_OF_B: stranger}
    if asking.who is Who.NOBODY:
        return 401
    if asking.who in people:
        return people[asking.who]
    if rule.anyone:
        return OK
    if rule.keys is None or rule.keys not in asking.scopes:
        return 403
    return stranger if asking.who is Who.KEY_OF_B else OK


@dataclass(frozen=True)
class Builder:
    admin: AsyncEngine
    pepper: bytes
    keys: SigningKeys
    issuer: str
    built: list[World] = field(default_factory=list)

    async def shared(self) -> World:
        if not self.built:
            self.built.append(await self.build())
        return self.built[0]

    async def build(self) -> World:
        async with AsyncSession(self.admin) as tx, tx.begin():
            return await Building(tx, self).build()


@dataclass(frozen=True)
class Building:
    """One world, in one transaction."""

    tx: AsyncSession
    house: Builder

    async def build(self) -> World:
        project, organization = await make_project(self.tx)
        other_project, other_organization = await make_project(self.tx)
        corner = Corner(project, "")
        corner = replace(corner, user_id=str(corner.account_id))
        await fill_in(self.tx, corner)
        await insert_row(self.tx, "memories", stored_message(corner))
        owner, reader = await self._member(organization, "OWNER"), await self._member(organization, "READER")
        other_owner, colleague = await self._member(other_organization, "OWNER"), await self._colleague(corner)
        await self._enter(organization, colleague, "READER")
        newcomer = uuid.uuid4()
        await make_account(self.tx, newcomer)
        people = [
            Credential("owner", Who.OWNER, await self._token(owner)),
            Credential("reader", Who.READER, await self._token(reader)),
            Credential("end user", Who.USER, await self._token(corner.account_id)),
            Credential("owner of B", Who.OWNER_OF_B, await self._token(other_owner)),
        ]
        names = {name: str(value) for name, value in vars(corner).items()}
        names |= {"organization_id": str(organization), "account_id": str(colleague)}
        names |= {"newcomer": f"{newcomer}@example.com", "received_id": str(await self._received(corner, project))}
        worthless, keys = await self._worthless(project, owner), await self._keys(project, other_project)
        return World([*people, *worthless, *keys], names)

    async def _received(self, corner: Corner, project: uuid.UUID) -> uuid.UUID:
        """An invitation to the end user of project A, from an operator's key."""
        invitation = uuid.uuid4()
        row = {**corner.rows()["invitations"], "id": invitation, "project_id": project}
        row |= {"email": f"{corner.account_id}@example.com", "token_hash": hashlib.sha256(b"token").digest()}
        await insert_row(self.tx, "invitations", row)
        return invitation

    async def _worthless(self, project: uuid.UUID, owner: uuid.UUID) -> list[Credential]:
        past = dt.datetime.now(dt.UTC) - dt.timedelta(minutes=1)
        values = {
            "nothing": None,
            "garbage": "garbage",
            "a key never issued": make_key().whole,
            "an expired key": await self._key(project, EVERYTHING, expires_at=past),
            "a revoked key": await self._key(project, EVERYTHING, revoked=True),
            "an expired token": await self._token(owner, expires_in=-3600),
            "an ended session's token": await self._token(owner, live=False),
            "a token of another issuer": await self._token(owner, issuer="http://elsewhere.example/auth/v1"),
        }
        return [Credential(name, Who.NOBODY, value) for name, value in values.items()]

    async def _keys(self, project: uuid.UUID, other_project: uuid.UUID) -> list[Credential]:
        found = [Credential("key of B", Who.KEY_OF_B, await self._key(other_project, EVERYTHING), EVERYTHING)]
        for scopes in (EVERYTHING, *(frozenset({scope}) for scope in Scope)):
            name = "key with every scope" if scopes == EVERYTHING else f"key with {''.join(scopes)}"
            found.append(Credential(name, Who.KEY, await self._key(project, scopes), scopes))
        return found

    async def _key(
        self,
        project: uuid.UUID,
        scopes: frozenset[Scope],
        *,
        expires_at: dt.datetime | None = None,
        revoked: bool = False,
    ) -> str:
        repository = ApiKeyRepository(self.tx, project)
        row, key = await repository.issue(
            self.house.pepper, name="K", scopes=sorted(scopes), expires_at=expires_at, created_by=None
        )
        if revoked:
            await repository.revoke(row.id)
        return key

    async def _member(self, organization: uuid.UUID, role: str) -> uuid.UUID:
        account = uuid.uuid4()
        await make_account(self.tx, account)
        await self._enter(organization, account, role)
        return account

    async def _enter(self, organization: uuid.UUID, account: uuid.UUID, role: str) -> None:
        row: Row = {"organization_id": organization, "account_id": account, "role": role, "joined": "accepted"}
        await insert_row(self.tx, "organization_members", row)

    async def _colleague(self, corner: Corner) -> uuid.UUID:
        """The member that other callers change and remove."""
        account = uuid.uuid4()
        await make_account(self.tx, account)
        row: Row = {"project_id": corner.project_id, "account_id": account, "role": "READER"}
        await insert_row(self.tx, "project_members", row)
        return account

    async def _token(
        self, account: uuid.UUID, *, expires_in: int = 3600, live: bool = True, issuer: str | None = None
    ) -> str:
        session = uuid.uuid4()
        if live:
            await self.tx.execute(NEW_SESSION, {"id": session, "account": account})
        now = int(time.time())
        times: Row = {"iat": min(now, now + expires_in), "exp": now + expires_in}
        about: Row = {"sub": str(account), "session_id": str(session), "email": f"{account}@example.com"}
        audience: Row = {"iss": issuer or self.house.issuer, "aud": "authenticated", "role": "authenticated"}
        return self.house.keys.sign({**times, **about, **audience})
