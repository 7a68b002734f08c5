"""Tokens and codes that are sent by e-mail: hashed as in GoTrue, usable once, and with an expiry."""

import datetime as dt
import hashlib
import secrets
import uuid
from dataclasses import dataclass
from enum import StrEnum

from sqlalchemy import delete, func, select
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.ext.asyncio import AsyncSession

from app.identity.local.storage.accounts import AccountRepository
from app.identity.local.storage.tables import one_time_tokens


class TokenType(StrEnum):
    CONFIRMATION = "confirmation_token"
    RECOVERY = "recovery_token"
    REAUTHENTICATION = "reauthentication_token"
    EMAIL_NEW = "email_change_token_new"
    EMAIL_CURRENT = "email_change_token_current"


SENT_AT = {
    TokenType.CONFIRMATION: "confirmation_sent_at",
    TokenType.RECOVERY: "recovery_sent_at",
    TokenType.REAUTHENTICATION: "reauthentication_sent_at",
    TokenType.EMAIL_NEW: "email_change_sent_at",
    TokenType.EMAIL_CURRENT: "email_change_sent_at",
}


@dataclass(frozen=True, slots=True)
class OneTimeToken:
    code: str
    """Six digits that the person types."""
    token_hash: str
    """Replaces the code in a link."""


def new_token(email: str) -> OneTimeToken:
    code = f"{secrets.randbelow(1_000_000):06d}"
    return OneTimeToken(code, hash_code(email, code))


def hash_code(email: str, code: str) -> str:
    return hashlib.sha224(f"{email}{code}".encode("utf-8", "surrogatepass")).hexdigest()


@dataclass(frozen=True, slots=True)
class SpentToken:
    account_id: uuid.UUID
    token_type: TokenType


class OneTimeTokenRepository:
    def __init__(self, tx: AsyncSession, seconds: int) -> None:
        self._tx = tx
        self._seconds = seconds

    async def issue(self, account_id: uuid.UUID, email: str, token_type: TokenType) -> OneTimeToken:
        """Replaces an earlier token of the type. GoTrue reads it from both tables, so both are written."""
        token = new_token(email)
        values = {"id": uuid.uuid4(), "token_hash": token.token_hash, "relates_to": email}
        now = func.timezone("utc", func.now())
        query = insert(one_time_tokens).values(user_id=account_id, token_type=token_type, **values, created_at=now)
        one_of_a_kind = [one_time_tokens.c.user_id, one_time_tokens.c.token_type]
        replaced = {**values, "created_at": now, "updated_at": now}
        await self._tx.execute(query.on_conflict_do_update(index_elements=one_of_a_kind, set_=replaced))
        sent = {token_type.value: token.token_hash, SENT_AT[token_type]: func.now()}
        await AccountRepository(self._tx).change(account_id, **sent)
        return token

    async def spend(
        self, token_hash: str, types: tuple[TokenType, ...], only: uuid.UUID | None = None
    ) -> SpentToken | None:
        """Return None if the token is unknown or expired. Of two concurrent calls, one gets the token."""
        found = [one_time_tokens.c.token_hash == token_hash, one_time_tokens.c.token_type.in_(types)]
        if only is not None:
            found.append(one_time_tokens.c.user_id == only)
        age = func.timezone("utc", func.now()) - one_time_tokens.c.created_at
        columns = (one_time_tokens.c.user_id, one_time_tokens.c.token_type, age)
        row = (await self._tx.execute(delete(one_time_tokens).where(*found).returning(*columns))).first()
        if row is None or row[2] > dt.timedelta(seconds=self._seconds):
            return None
        await AccountRepository(self._tx).change(row[0], **{row[1]: ""})
        return SpentToken(row[0], TokenType(row[1]))

    async def is_pending(self, account_id: uuid.UUID, token_type: TokenType) -> bool:
        mine = (one_time_tokens.c.user_id == account_id, one_time_tokens.c.token_type == token_type)
        return await self._tx.scalar(select(one_time_tokens.c.id).where(*mine)) is not None
