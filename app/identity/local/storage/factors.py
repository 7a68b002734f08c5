"""Second factors in auth.mfa_factors, their challenges, and the codes that were accepted."""

import datetime as dt
import uuid
from dataclasses import dataclass
from typing import Any

from sqlalchemy import Column, and_, delete, exists, func, insert, or_, select, text, update
from sqlalchemy.exc import IntegrityError
from sqlalchemy.ext.asyncio import AsyncSession

from app.identity.local.errors import IdentityError
from app.identity.local.storage.sessions import stored_address
from app.identity.local.storage.tables import factor_challenges, factors

CHALLENGE_SECONDS = 300
UNVERIFIED_SECONDS = 300
"""How long a factor waits for its first challenge."""
# In one statement, so that of two requests with the same code one is accepted.
UPSERT_STEP_SQL = text("""
insert into private.totp_steps as known (factor_id, account_id, last_step) values (:factor_id, :account_id, :step)
on conflict (factor_id) do update set last_step = excluded.last_step where known.last_step < excluded.last_step
returning last_step
""")
DELETE_STEP_SQL = text("delete from private.totp_steps where factor_id = :factor_id")


@dataclass(frozen=True, slots=True)
class FactorRow:
    id: uuid.UUID
    account_id: uuid.UUID
    friendly_name: str | None
    factor_type: str
    status: str
    created_at: dt.datetime
    updated_at: dt.datetime
    secret: str | None

    @property
    def is_verified(self) -> bool:
        return self.status == "verified"


@dataclass(frozen=True, slots=True)
class FactorChallengeRow:
    id: uuid.UUID
    created_at: dt.datetime
    verified_at: dt.datetime | None
    ip_address: object

    @property
    def expires_at(self) -> dt.datetime:
        return self.created_at + dt.timedelta(seconds=CHALLENGE_SECONDS)

    def is_from(self, address: str) -> bool:
        return str(self.ip_address).partition("/")[0] == stored_address(address)


class FactorRepository:
    def __init__(self, tx: AsyncSession, account_id: uuid.UUID) -> None:
        self._tx = tx
        self._account_id = account_id

    async def all(self) -> list[FactorRow]:
        return await self._find()

    async def get(self, factor_id: uuid.UUID) -> FactorRow:
        found = await self._find(factors.c.id == factor_id)
        if not found:
            raise IdentityError(404, "mfa_factor_not_found", "Factor not found")
        return found[0]

    async def _find(self, *conditions: object) -> list[FactorRow]:
        columns = [factors.c["user_id" if name == "account_id" else name] for name in FactorRow.__slots__]
        query = select(*columns).where(factors.c.user_id == self._account_id, *conditions)  # type: ignore[arg-type]
        rows = await self._tx.execute(query.order_by(factors.c.created_at, factors.c.id))
        return [FactorRow(*row) for row in rows]

    async def add(self, factor_id: uuid.UUID, friendly_name: str, sealed_secret: str) -> None:
        values = {"id": factor_id, "user_id": self._account_id, "friendly_name": friendly_name, "secret": sealed_secret}
        kind = {"factor_type": "totp", "status": "unverified", "created_at": func.now(), "updated_at": func.now()}
        try:
            await self._tx.execute(insert(factors).values(**values, **kind))
        except IntegrityError:
            raise name_conflict(friendly_name) from None

    async def remove(self, factor_id: uuid.UUID) -> None:
        mine = (factors.c.id == factor_id, factors.c.user_id == self._account_id)
        await self._tx.execute(delete(factors).where(*mine))
        await self._tx.execute(DELETE_STEP_SQL, {"factor_id": factor_id})

    async def remove_all(self) -> None:
        for factor in await self.all():
            await self.remove(factor.id)

    async def remove_abandoned(self) -> None:
        """Enrollments that were never finished. Without this, they would use up the allowed number."""
        challenged = exists().where(factor_challenges.c.factor_id == factors.c.id)
        old = factors.c.created_at < func.now() - dt.timedelta(seconds=UNVERIFIED_SECONDS)
        await self._remove_unverified(~challenged, old)

    async def remove_unverified(self) -> None:
        await self._remove_unverified()

    async def _remove_unverified(self, *conditions: object) -> None:
        mine = (factors.c.user_id == self._account_id, factors.c.status == "unverified")
        await self._tx.execute(delete(factors).where(*mine, *conditions))  # type: ignore[arg-type]

    async def challenge(self, factor_id: uuid.UUID, address: str) -> FactorChallengeRow:
        """Removes the ended challenges of the factor, which cannot be used any more."""
        old = factor_challenges.c.created_at < func.now() - dt.timedelta(seconds=CHALLENGE_SECONDS)
        ended = and_(factor_challenges.c.factor_id == factor_id, or_(old, factor_challenges.c.verified_at.is_not(None)))
        await self._tx.execute(delete(factor_challenges).where(ended))
        values = {"id": uuid.uuid4(), "factor_id": factor_id, "ip_address": stored_address(address)}
        added = insert(factor_challenges).values(**values, created_at=func.clock_timestamp())
        row = (await self._tx.execute(added.returning(*_challenge_columns()))).one()
        challenged = update(factors).where(factors.c.id == factor_id)
        await self._tx.execute(challenged.values(last_challenged_at=func.clock_timestamp()))
        return FactorChallengeRow(*row)

    async def find_challenge(self, factor_id: uuid.UUID, challenge_id: uuid.UUID) -> FactorChallengeRow | None:
        challenge = factor_challenges.c
        query = select(*_challenge_columns()).where(challenge.id == challenge_id, challenge.factor_id == factor_id)
        row = (await self._tx.execute(query.with_for_update())).first()
        return None if row is None else FactorChallengeRow(*row)

    async def accept(self, factor_id: uuid.UUID, challenge_id: uuid.UUID, step: int) -> bool:
        """False if a code of this time step or a later one was accepted before."""
        values = {"factor_id": factor_id, "account_id": self._account_id, "step": step}
        if await self._tx.scalar(UPSERT_STEP_SQL, values) is None:
            return False
        answered = update(factor_challenges).where(factor_challenges.c.id == challenge_id)
        await self._tx.execute(answered.values(verified_at=func.now()))
        verified = update(factors).where(factors.c.id == factor_id)
        await self._tx.execute(verified.values(status="verified", updated_at=func.now()))
        return True


def _challenge_columns() -> list[Column[Any]]:
    challenge = factor_challenges.c
    return [challenge.id, challenge.created_at, challenge.verified_at, challenge.ip_address]


def name_conflict(friendly_name: str) -> IdentityError:
    message = f'A factor with the friendly name "{friendly_name}" for this user already exists'
    return IdentityError(422, "mfa_factor_name_conflict", message)
