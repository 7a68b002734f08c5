"""Tokens and codes that are sent by e-mail: stored as hashes, usable once, and with an expiry.

A link has a random token of its own: a hash of the address and six digits, as in GoTrue, could be guessed.
"""

import datetime as dt
import hashlib
import secrets
import uuid
from dataclasses import dataclass
from enum import StrEnum

from sqlalchemy import ColumnElement, delete, func, or_, select, true
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.ext.asyncio import AsyncSession

from app.identity.local.storage.accounts import AccountRepository
from app.identity.local.storage.tables import one_time_tokens, users


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
    link_token: str
    """256 random bits that replace the code in a link. Supabase's clients send it as `token_hash`."""


CODE_FLOW = "pkce_"
"""The beginning of a link's token whose flow has a code challenge: the link leads to a code instead of a session."""


def new_token(*, with_challenge: bool = False) -> OneTimeToken:
    prefix = CODE_FLOW if with_challenge else ""
    return OneTimeToken(f"{secrets.randbelow(1_000_000):06d}", prefix + secrets.token_hex(32))


def hash_link_token(link_token: str) -> str:
    return hashlib.sha256(link_token.encode("utf-8", "surrogatepass")).hexdigest()


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

    async def issue(
        self, account_id: uuid.UUID, email: str, token_type: TokenType, *, with_challenge: bool = False
    ) -> OneTimeToken:
        """Replaces an earlier token of the type. The row has the hash of the link, the account that of the code."""
        token = new_token(with_challenge=with_challenge)
        values = {"id": uuid.uuid4(), "token_hash": hash_link_token(token.link_token), "relates_to": email}
        now = func.timezone("utc", func.now())
        query = insert(one_time_tokens).values(user_id=account_id, token_type=token_type, **values, created_at=now)
        one_of_a_kind = [one_time_tokens.c.user_id, one_time_tokens.c.token_type]
        replaced = {**values, "created_at": now, "updated_at": now}
        await self._tx.execute(query.on_conflict_do_update(index_elements=one_of_a_kind, set_=replaced))
        sent = {token_type.value: hash_code(email, token.code), SENT_AT[token_type]: func.now()}
        await AccountRepository(self._tx).change(account_id, **sent)
        return token

    async def spend_link(self, link_token: str, types: tuple[TokenType, ...]) -> SpentToken | None:
        tokens = one_time_tokens.c
        return await self._spend(tokens.token_hash == hash_link_token(link_token), tokens.token_type.in_(types))

    async def spend_code(
        self, email: str, code: str, types: tuple[TokenType, ...], only: uuid.UUID | None = None
    ) -> SpentToken | None:
        tokens, code_hash = one_time_tokens.c, hash_code(email, code)
        of_a_type = [
            (tokens.token_type == kind) & tokens.user_id.in_(select(users.c.id).where(users.c[kind.value] == code_hash))
            for kind in types
        ]
        return await self._spend(or_(*of_a_type), tokens.user_id == only if only else true())

    async def _spend(self, *found: ColumnElement[bool]) -> SpentToken | None:
        """Return None if the token is unknown or expired. Of two concurrent calls, one gets the token."""
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
