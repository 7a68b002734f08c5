"""The record of retention runs: a project has one unfinished run at most."""

from collections.abc import Mapping
from typing import Any, Literal
from uuid import UUID

from sqlalchemy import Boolean, func, literal_column, select, text, update
from sqlalchemy.dialects.postgresql import insert

from app.core.database.repository import Repository
from app.retention.models import RetentionRun
from app.retention.policy import RetentionPolicy

# As in the definition of the unique index.
IS_ACTIVE = literal_column("state in ('queued', 'running')", Boolean)
Effect = Literal["archived", "deleted"]
COUNT_BATCH_SQL = text("""
update retention_runs set updated_at = now(), counts = jsonb_set(counts, array[cast(:rule as text), :effect],
  to_jsonb((counts -> :rule ->> :effect)::bigint + :count))
where project_id = :project_id and id = :id
""")


class RetentionRunRepository(Repository[RetentionRun]):
    model = RetentionRun
    noun = "retention run"

    async def open(self, policy: RetentionPolicy, cause: str) -> bool:
        """Return False if a run of the project has not finished yet, which then is the active one."""
        row = insert(RetentionRun).values(
            project_id=self.project_id,
            cause=cause,
            policy=policy.model_dump(mode="json", include={"rules"}, exclude_defaults=True),
            counts={rule.name: {"archived": 0, "deleted": 0, "held": 0} for rule in policy.rules},
        )
        once = row.on_conflict_do_nothing(index_elements=["project_id"], index_where=IS_ACTIVE)
        return await self.tx.scalar(once.returning(RetentionRun.id)) is not None

    async def get_active(self) -> RetentionRun:
        return (await self.tx.scalars(self.rows.where(IS_ACTIVE))).one()

    async def was_scheduled_within(self, hours: int) -> bool:
        recent = RetentionRun.created_at > func.now() - func.make_interval(0, 0, 0, 0, hours)
        found = select(RetentionRun.id).where(*self.mine(), RetentionRun.cause == "schedule", recent)
        return await self.tx.scalar(found.limit(1)) is not None

    async def begin(self, run_id: UUID) -> RetentionRun | None:
        """None if the run has ended, or was deleted with its project."""
        started = {"state": "running", "started_at": func.coalesce(RetentionRun.started_at, func.now())}
        return await self._change(run_id, started)

    async def count_batch(self, run_id: UUID, rule: str, effect: Effect, count: int) -> None:
        values = {"project_id": self.project_id, "id": run_id, "rule": rule, "effect": effect, "count": count}
        await self.tx.execute(COUNT_BATCH_SQL, values)

    async def end(self, run_id: UUID, **values: object) -> RetentionRun | None:
        """None if another process has ended it."""
        return await self._change(run_id, {**values, "finished_at": func.now()})

    async def _change(self, run_id: UUID, values: Mapping[str, Any]) -> RetentionRun | None:
        mine = update(RetentionRun).where(*self.mine(), RetentionRun.id == run_id, IS_ACTIVE)
        changed = await self.tx.scalars(mine.values(updated_at=func.now(), **values).returning(RetentionRun))
        run: RetentionRun | None = changed.one_or_none()
        return run
