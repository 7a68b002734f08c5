"""Legal holds: users whose data neither retention nor erasure may remove."""

from sqlalchemy import delete, text
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.ext.asyncio import AsyncSession

from app.core.database.repository import Repository
from app.core.errors import NotFound
from app.retention.models import LegalHold

SELECT_HELD_USERS_SQL = text("select user_id from private.held_users() as user_id")


async def held_users(tx: AsyncSession) -> set[str]:
    """The users of the transaction's project that are under a legal hold. In the transaction of an end user, at most
    that user."""
    return set(await tx.scalars(SELECT_HELD_USERS_SQL))


class LegalHoldRepository(Repository[LegalHold]):
    model = LegalHold
    noun = "legal hold"

    async def put(self, user_id: str, reason: str | None) -> LegalHold:
        row = insert(LegalHold).values(project_id=self.project_id, user_id=user_id, reason=reason)
        upsert = row.on_conflict_do_update(index_elements=["project_id", "user_id"], set_={"reason": reason})
        return (await self.tx.scalars(upsert.returning(LegalHold))).one()

    async def lift(self, user_id: str) -> None:
        lifted = delete(LegalHold).where(*self.mine(), LegalHold.user_id == user_id).returning(LegalHold.id)
        if await self.tx.scalar(lifted) is None:
            raise NotFound("There is no legal hold on this user.")
