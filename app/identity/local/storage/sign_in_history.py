"""Where an account signed in before, and when an operator unlocked it. Networks are stored as keyed hashes."""

import datetime as dt
import hashlib
import hmac
import uuid
from dataclasses import dataclass

from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncSession

from app.core.network_addresses import network_of

KEPT_DAYS = 90
SELECT_SIGN_IN_HISTORY_SQL = text("""
select n.account_id is not null as is_known_network, k.unlocked_at
from auth.users u
left join private.sign_in_networks n on n.account_id = u.id and n.network_hash = :network_hash
  and n.last_used_at > now() - make_interval(days => :days)
left join private.sign_in_unlocks k on k.account_id = u.id
where u.email = :email and not u.is_sso_user
""")
UPSERT_NETWORK_SQL = text("""
with outdated as (
  delete from private.sign_in_networks
  where account_id = :account_id and network_hash <> :network_hash
    and last_used_at < now() - make_interval(days => :days)
)
insert into private.sign_in_networks (account_id, network_hash) values (:account_id, :network_hash)
on conflict (account_id, network_hash) do update set last_used_at = now()
""")
DELETE_NETWORKS_SQL = text("delete from private.sign_in_networks where account_id = :account_id")
UPSERT_UNLOCK_SQL = text("""
insert into private.sign_in_unlocks (account_id) select id from auth.users where email = :email and not is_sso_user
on conflict (account_id) do update set unlocked_at = now() returning account_id
""")


@dataclass(frozen=True, slots=True)
class SignInHistory:
    is_known_network: bool = False
    unlocked_at: dt.datetime | None = None

    def was_unlocked_after(self, timestamp: float) -> bool:
        return self.unlocked_at is not None and self.unlocked_at.timestamp() > timestamp


class SignInHistoryRepository:
    def __init__(self, tx: AsyncSession, secret_key: str) -> None:
        self._tx = tx
        self._key = hmac.digest(secret_key.encode(), b"keepsake sign-in networks", hashlib.sha256)

    async def read(self, email: str, address: str) -> SignInHistory:
        values = {"email": email, "network_hash": self._hash(address), "days": KEPT_DAYS}
        row = (await self._tx.execute(SELECT_SIGN_IN_HISTORY_SQL, values)).first()
        return SignInHistory() if row is None else SignInHistory(*row)

    async def record(self, account_id: uuid.UUID, address: str) -> None:
        values = {"account_id": account_id, "network_hash": self._hash(address), "days": KEPT_DAYS}
        await self._tx.execute(UPSERT_NETWORK_SQL, values)

    async def forget(self, account_id: uuid.UUID) -> None:
        await self._tx.execute(DELETE_NETWORKS_SQL, {"account_id": account_id})

    def _hash(self, address: str) -> bytes:
        return hmac.digest(self._key, network_of(address).encode(), hashlib.sha256)


async def unlock_account(tx: AsyncSession, email: str) -> bool:
    """Lift the lock-out of an account at every process: wrong passwords from before no longer count."""
    return (await tx.execute(UPSERT_UNLOCK_SQL, {"email": email})).first() is not None
