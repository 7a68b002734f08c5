"""The rows of erasures: claimed by one process at a time, with counts that a crash cannot falsify."""

import json
from collections.abc import Mapping
from uuid import UUID

from sqlalchemy import text

from app.core.database.repository import Repository
from app.erasure.models import Erasure, ErasureScope
from app.erasure.stores import OUTSIDE_POSTGRES

LEASE_SECONDS = 60
CLAIM_ERASURE_SQL = text("""
update erasures set leased_until = clock_timestamp() + make_interval(secs => :seconds)
where project_id = :project_id and id = :id and settled_at is null
  and (leased_until is null or leased_until < clock_timestamp())
returning id
""")
RELEASE_ERASURE_SQL = text("update erasures set leased_until = null where project_id = :project_id and id = :id")
# In the transaction that removes the rows: what is counted is gone, and what is gone is counted.
COUNT_REMOVED_SQL = text("""
update erasures set leased_until = clock_timestamp() + make_interval(secs => :seconds),
  removed = removed || (select jsonb_object_agg(c.key, coalesce((removed ->> c.key)::bigint, 0) + c.value::bigint)
    from jsonb_each_text(cast(:counts as jsonb)) c)
where project_id = :project_id and id = :id
""")
SET_FOUND_SQL = text("""
update erasures set found = cast(:found as jsonb) where project_id = :project_id and id = :id and found = '{}'
""")
# What arrived while the erasure ran was found, too. Nothing is left outside of Postgres, so what was found there was
# removed, also if a crash came before it was counted.
FINISH_ERASURE_SQL = text("""
update erasures set state = 'finished', finished_at = now(), subject = null, scope = cast(:scope as jsonb),
  remaining = cast(:remaining as jsonb), leased_until = null,
  removed = removed || (select coalesce(jsonb_object_agg(f.key, f.value::bigint), '{}') from jsonb_each_text(found) f
    where f.key = any(:outside) and f.value::bigint > coalesce((removed ->> f.key)::bigint, 0)),
  found = (select jsonb_object_agg(f.key, greatest(f.value::bigint, coalesce((removed ->> f.key)::bigint, 0)))
    from jsonb_each_text(found) f)
where project_id = :project_id and id = :id
""")
SETTLE_ERASURE_SQL = text("""
update erasures set settled_at = now(), scope = null, leased_until = null,
  found = (select jsonb_object_agg(f.key, greatest(f.value::bigint, coalesce((removed ->> f.key)::bigint, 0)))
    from jsonb_each_text(found) f)
where project_id = :project_id and id = :id
""")
SET_VACUUMED_SQL = text("update erasures set vacuumed_at = now() where project_id = :project_id and id = :id")


class ErasureRepository(Repository[Erasure]):
    model = Erasure
    noun = "erasure"

    async def claim(self, erasure_id: UUID) -> Erasure | None:
        """None if it is done, or if another process works on it."""
        if await self.tx.scalar(CLAIM_ERASURE_SQL, self._key(erasure_id, seconds=LEASE_SECONDS)) is None:
            return None
        return await self.get(erasure_id)

    async def release(self, erasure_id: UUID) -> None:
        await self.tx.execute(RELEASE_ERASURE_SQL, self._key(erasure_id))

    async def set_found(self, erasure_id: UUID, found: Mapping[str, int]) -> None:
        await self.tx.execute(SET_FOUND_SQL, self._key(erasure_id, found=json.dumps(found)))

    async def count_removed(self, erasure_id: UUID, counts: Mapping[str, int]) -> None:
        if any(counts.values()):
            values = {"counts": json.dumps(counts), "seconds": LEASE_SECONDS}
            await self.tx.execute(COUNT_REMOVED_SQL, self._key(erasure_id, **values))

    async def finish(self, erasure_id: UUID, scope: ErasureScope, remaining: Mapping[str, int]) -> None:
        texts = {"scope": scope.without_names().model_dump_json(), "remaining": json.dumps(remaining)}
        values = self._key(erasure_id, outside=list(OUTSIDE_POSTGRES), **texts)
        await self.tx.execute(FINISH_ERASURE_SQL, values)

    async def settle(self, erasure_id: UUID) -> None:
        await self.tx.execute(SETTLE_ERASURE_SQL, self._key(erasure_id))

    async def set_vacuumed(self, erasure_id: UUID) -> None:
        await self.tx.execute(SET_VACUUMED_SQL, self._key(erasure_id))

    def _key(self, erasure_id: UUID, **more: object) -> dict[str, object]:
        return {"project_id": self.project_id, "id": erasure_id, **more}


def read_scope(erasure: Erasure) -> ErasureScope:
    return ErasureScope.model_validate(erasure.scope or {})
