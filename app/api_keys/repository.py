import datetime as dt
from uuid import UUID

from sqlalchemy import ColumnElement, text

from app.api_keys.key import hash_key, make_key
from app.api_keys.models import ApiKey
from app.core.database.repository import Repository
from app.core.errors import Conflict, NotFound

SELECT_CREATORS_SQL = text("select account_id, email from private.creators_of_keys()")


def refuse_grant(row: ApiKey) -> None:
    """Its scopes and its end are what a person agreed to, and its tokens are replaced by themselves."""
    if row.client_id:
        raise Conflict(
            "This is what a person granted to a client of OAuth, and it cannot be changed. Revoke it instead."
        )


class ApiKeyRepository(Repository[ApiKey]):
    model = ApiKey
    noun = "API key"

    def mine(self) -> list[ColumnElement[bool]]:
        return [*super().mine(), ApiKey.revoked_at.is_(None)]

    async def issue(
        self, pepper: bytes, *, name: str, scopes: list[str], expires_at: dt.datetime | None, created_by: UUID | None
    ) -> tuple[ApiKey, str]:
        key = make_key()
        row = await self.add(
            name=name,
            prefix=key.prefix,
            secret_hash=hash_key(key.whole, pepper),
            scopes=scopes,
            expires_at=expires_at,
            created_by=created_by,
        )
        return row, key.whole

    async def lock(self, key_id: UUID) -> ApiKey:
        """The rights of the key cannot grow between a check and the change that it allows."""
        row: ApiKey | None = await self.tx.scalar(self.rows.where(ApiKey.id == key_id).with_for_update())
        if row is None:
            raise NotFound(f"There is no API key {key_id}")
        return row

    async def emails_of_creators(self) -> dict[UUID, str]:
        """The addresses of the creators that are still members of the project."""
        return {row.account_id: row.email for row in await self.tx.execute(SELECT_CREATORS_SQL) if row.email}

    async def rotate(
        self, key_id: UUID, pepper: bytes, overlap: dt.timedelta, *, creator: UUID | None
    ) -> tuple[ApiKey, str]:
        """Issue a new secret under the same prefix. The old one works until the overlap ends.

        `creator` sees the secret, so the key becomes theirs and ends with their membership.
        """
        row = await self.get(key_id)
        refuse_grant(row)
        now = dt.datetime.now(dt.UTC)
        if row.expires_at and row.expires_at <= now:
            raise NotFound(f"API key {key_id} has expired. Create a new one.")
        key = make_key(row.prefix)
        row.created_by = creator or row.created_by
        row.previous_hash, row.previous_until = row.secret_hash, now + overlap
        row.secret_hash = hash_key(key.whole, pepper)
        await self.flush()
        return row, key.whole

    async def revoke(self, key_id: UUID) -> None:
        row = await self.get(key_id)
        row.revoked_at = dt.datetime.now(dt.UTC)
        await self.flush()
