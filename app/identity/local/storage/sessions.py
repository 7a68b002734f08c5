"""Sign-in sessions and their refresh tokens. A token is rotated at each use; reuse of an old one ends the session."""

import base64
import datetime as dt
import hashlib
import hmac
import uuid
from collections.abc import Sequence
from dataclasses import dataclass
from ipaddress import ip_address
from typing import Literal

from sqlalchemy import RowMapping, Select, delete, func, insert, select, update
from sqlalchemy.dialects.postgresql import insert as upsert
from sqlalchemy.ext.asyncio import AsyncSession

from app.identity.local.errors import IdentityError
from app.identity.local.storage.accounts import INSTANCE, AccountRow
from app.identity.local.storage.tables import amr_claims, refresh_tokens, sessions, users

Scope = Literal["global", "local", "others"]
SECOND_FACTORS = {"totp"}


@dataclass(frozen=True, slots=True)
class RequestOrigin:
    """The address and user agent that a session is recorded with."""

    address: str
    user_agent: str


@dataclass(frozen=True, slots=True)
class SessionGrant:
    session_id: uuid.UUID
    refresh_token: str
    methods: Sequence[tuple[str, int]]
    """The authentication methods of the session and their times, newest first."""

    @property
    def assurance(self) -> str:
        return "aal2" if any(method in SECOND_FACTORS for method, _ in self.methods) else "aal1"


@dataclass(frozen=True, slots=True)
class RefreshRefused:
    """Returned instead of raised, because an exception would roll back the deletion of the session."""

    error: IdentityError


@dataclass(frozen=True, slots=True)
class AuthSession:
    id: uuid.UUID
    account_id: uuid.UUID
    created_at: dt.datetime
    assurance: str = "aal1"


class RefreshSecret:
    """Derives each token from its parent, so that a lost response can be repeated although only hashes are stored."""

    def __init__(self, secret_key: str) -> None:
        self._key = hmac.digest(secret_key.encode(), b"keepsake refresh tokens", hashlib.sha256)

    def derive(self, session_id: uuid.UUID, parent: str) -> str:
        digest = hmac.digest(self._key, session_id.bytes + parent.encode(), hashlib.sha256)
        return base64.urlsafe_b64encode(digest[:24]).decode()


def hash_token(token: str) -> str:
    return hashlib.sha256(token.encode("utf-8", "surrogatepass")).hexdigest()


class AuthSessionRepository:
    def __init__(self, tx: AsyncSession, secret: RefreshSecret) -> None:
        self._tx = tx
        self._secret = secret

    async def open(self, account: AccountRow, method: str, origin: RequestOrigin, seconds: int | None) -> SessionGrant:
        session_id = uuid.uuid4()
        ends_at = None if seconds is None else dt.datetime.now(dt.UTC) + dt.timedelta(seconds=seconds)
        values = {"id": session_id, "user_id": account.id, "aal": "aal1", "not_after": ends_at}
        values |= {"user_agent": origin.user_agent or None, "ip": _ip(origin.address)}
        now = {"created_at": func.now(), "updated_at": func.now()}
        await self._tx.execute(insert(sessions).values(**values, **now))
        proof = {"id": uuid.uuid4(), "session_id": session_id, "authentication_method": method}
        await self._tx.execute(insert(amr_claims).values(**proof, **now))
        token = await self._add_token(session_id, account.id, parent="")
        return SessionGrant(session_id, token, await self._methods(session_id))

    async def find(self, session_id: uuid.UUID, account_id: uuid.UUID) -> AuthSession | None:
        query = select(sessions.c.id, sessions.c.user_id, sessions.c.created_at, sessions.c.aal)
        alive = sessions.c.not_after.is_(None) | (sessions.c.not_after > func.now())
        mine = (sessions.c.id == session_id, sessions.c.user_id == account_id, alive)
        row = (await self._tx.execute(query.where(*mine))).first()
        return None if row is None else AuthSession(*row)

    async def confirm(
        self, account_id: uuid.UUID, session_id: uuid.UUID, method: str, factor_id: uuid.UUID
    ) -> SessionGrant:
        """Raise the session to `aal2`, and end those of the account that are not. Its refresh token is replaced."""
        await self._lock_account(account_id)
        raised = update(sessions).where(sessions.c.id == session_id, sessions.c.user_id == account_id)
        values = {"aal": "aal2", "factor_id": factor_id, "updated_at": func.now()}
        if await self._tx.scalar(raised.values(**values).returning(sessions.c.id)) is None:
            raise IdentityError(403, "session_not_found", "Session from session_id claim in JWT does not exist")
        await self._tx.execute(delete(sessions).where(sessions.c.user_id == account_id, sessions.c.aal < "aal2"))
        proof = {"id": uuid.uuid4(), "session_id": session_id, "authentication_method": method}
        added = upsert(amr_claims).values(**proof, created_at=func.now(), updated_at=func.now())
        again = [amr_claims.c.session_id, amr_claims.c.authentication_method]
        await self._tx.execute(added.on_conflict_do_update(index_elements=again, set_={"updated_at": func.now()}))
        return await self._replace_token(session_id, account_id)

    async def _replace_token(self, session_id: uuid.UUID, account_id: uuid.UUID) -> SessionGrant:
        living = refresh_tokens.c.session_id == session_id, refresh_tokens.c.revoked.is_(False)
        used = update(refresh_tokens).where(*living).values(revoked=True, updated_at=func.now())
        parents = list(await self._tx.scalars(used.returning(refresh_tokens.c.token)))
        token = await self._add_token(session_id, account_id, parent=parents[-1] if parents else "")
        return SessionGrant(session_id, token, await self._methods(session_id))

    async def forget_factor(self, account_id: uuid.UUID, factor_id: uuid.UUID, method: str) -> None:
        """The sessions that confirmed the factor are `aal1` again."""
        confirmed = (sessions.c.user_id == account_id, sessions.c.factor_id == factor_id)
        lowered = update(sessions).where(*confirmed).values(aal="aal1", factor_id=None, updated_at=func.now())
        lowered_ids = list(await self._tx.scalars(lowered.returning(sessions.c.id)))
        claims = amr_claims.c
        proofs = (claims.session_id.in_(lowered_ids), claims.authentication_method == method)
        await self._tx.execute(delete(amr_claims).where(*proofs))

    async def _lock_account(self, account_id: uuid.UUID) -> None:
        # Without this lock, two calls that end the same sessions at once can deadlock.
        await self._tx.execute(select(users.c.id).where(users.c.id == account_id).with_for_update(key_share=True))

    async def end(self, account_id: uuid.UUID, scope: Scope, current: uuid.UUID | None) -> None:
        await self._lock_account(account_id)
        query = delete(sessions).where(sessions.c.user_id == account_id)
        if scope == "local":
            query = query.where(sessions.c.id == current)
        if scope == "others":
            query = query.where(sessions.c.id != current)
        await self._tx.execute(query)

    async def find_owner(self, token: str) -> uuid.UUID | None:
        owner: uuid.UUID | None = await self._tx.scalar(_owner_query(token))
        return owner

    async def lock_owner(self, token: str) -> uuid.UUID | None:
        """Return the owner of a refresh token, and lock its session against concurrent refreshes."""
        owner: uuid.UUID | None = await self._tx.scalar(_owner_query(token).with_for_update())
        return owner

    async def refresh(self, token: str, account_id: uuid.UUID, reuse_seconds: int) -> SessionGrant | RefreshRefused:
        """Call `lock_owner` first. A token that was used before gets the active one, or ends the session."""
        columns = (refresh_tokens, sessions.c.not_after)
        joined = refresh_tokens.join(sessions, sessions.c.id == refresh_tokens.c.session_id)
        query = select(*columns).select_from(joined).where(refresh_tokens.c.token == hash_token(token))
        row = (await self._tx.execute(query)).mappings().one()
        if row["not_after"] is not None and row["not_after"] <= dt.datetime.now(dt.UTC):
            return RefreshRefused(IdentityError(400, "session_expired", "Invalid Refresh Token: Session Expired"))
        if not row["revoked"]:
            return await self._rotate(row, account_id)
        return await self._reuse(row, reuse_seconds)

    async def _rotate(self, row: RowMapping, account_id: uuid.UUID) -> SessionGrant:
        session_id = row["session_id"]
        used = update(refresh_tokens).where(refresh_tokens.c.id == row["id"])
        await self._tx.execute(used.values(revoked=True, updated_at=func.now()))
        refreshed_at = func.timezone("utc", func.now())
        touched = update(sessions).where(sessions.c.id == session_id)
        await self._tx.execute(touched.values(refreshed_at=refreshed_at, updated_at=func.now()))
        token = await self._add_token(session_id, account_id, parent=row["token"])
        return SessionGrant(session_id, token, await self._methods(session_id))

    async def _reuse(self, row: RowMapping, reuse_seconds: int) -> SessionGrant | RefreshRefused:
        session_id = row["session_id"]
        living = select(refresh_tokens.c.parent).where(
            refresh_tokens.c.session_id == session_id, refresh_tokens.c.revoked.is_(False)
        )
        parent = await self._tx.scalar(living.order_by(refresh_tokens.c.id.desc()).limit(1))
        just_now = row["updated_at"] + dt.timedelta(seconds=reuse_seconds) > dt.datetime.now(dt.UTC)
        if parent is not None and (parent == row["token"] or just_now):
            return SessionGrant(session_id, self._secret.derive(session_id, parent), await self._methods(session_id))
        await self._tx.execute(delete(sessions).where(sessions.c.id == session_id))
        return RefreshRefused(IdentityError(400, "refresh_token_already_used", "Invalid Refresh Token: Already Used"))

    async def _add_token(self, session_id: uuid.UUID, account_id: uuid.UUID, parent: str) -> str:
        token = self._secret.derive(session_id, parent)
        values = {"instance_id": INSTANCE, "token": hash_token(token), "user_id": str(account_id), "parent": parent}
        now = {"created_at": func.now(), "updated_at": func.now()}
        await self._tx.execute(insert(refresh_tokens).values(**values, session_id=session_id, revoked=False, **now))
        return token

    async def _methods(self, session_id: uuid.UUID) -> list[tuple[str, int]]:
        query = select(amr_claims.c.authentication_method, amr_claims.c.updated_at)
        newest_first = query.where(amr_claims.c.session_id == session_id).order_by(amr_claims.c.updated_at.desc())
        return [(method, int(at.timestamp())) for method, at in (await self._tx.execute(newest_first)).all()]


def _owner_query(token: str) -> Select[tuple[uuid.UUID]]:
    held = select(refresh_tokens.c.session_id).where(refresh_tokens.c.token == hash_token(token))
    return select(sessions.c.user_id).where(sessions.c.id == held.scalar_subquery())


def stored_address(address: str) -> str:
    """For a column that must hold an address."""
    return _ip(address) or "0.0.0.0"  # noqa: S104 - stands for an unknown address


def _ip(address: str) -> str | None:
    """The column only accepts IP addresses; an in-process client has none."""
    try:
        return str(ip_address(address.partition("%")[0]))
    except ValueError:
        return None
