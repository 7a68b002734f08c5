"""Changes the embedder of a project: fills the other index while the old one answers, then removes the old vectors.

Each step is recorded, so that a change goes on where it ended when its process dies. `project_embedders` says how far
it is, and only this module changes its phase.
"""

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any
from uuid import UUID

import structlog
from sqlalchemy import Row, text

from app.core.ports import IndexUpsert
from app.core.resources import Resources
from app.memory.embedders import GRACE_SECONDS, ChangePhase, IndexPart, IndexRouter
from app.memory.indexing.indexer import build_entries, load_upserts

log = structlog.get_logger()
BATCH_SIZE = 64
REMOVED_AT_ONCE = 1000
SELECT_CHANGE_SQL = text("""
select chosen, serving, phase, position from project_embedders where project_id = :project
""")
# Only the job of the project does this, one at a time.
UPDATE_PHASE_SQL = text("""
update project_embedders set phase = :phase, serving = :serving, version = gen_random_uuid(), updated_at = now(),
  position = null, done = 0, total = (
    select count(*) from memories m where m.project_id = project_embedders.project_id and m.archived_at is null)
where project_id = :project
""")
UPDATE_POSITION_SQL = text("""
update project_embedders set position = :position, done = done + :count, total = greatest(total, done + :count),
  updated_at = now()
where project_id = :project
""")
DELETE_DEFAULT_CHOICE_SQL = text("""
delete from project_embedders
where project_id = :project and chosen = 'english' and serving = 'english' and phase = 'settled'
""")
SELECT_PAGE_SQL = text("""
select id from memories
where project_id = :project and archived_at is null and (cast(:after as uuid) is null or id > :after)
order by id limit :batch
""")
SELECT_VERSIONS_SQL = text("""
select id, updated_at from memories where project_id = :project and id = any(:ids) and archived_at is null
""")


@dataclass(frozen=True, slots=True)
class EmbedderChange:
    resources: Resources
    indexes: IndexRouter
    project_id: UUID
    grace_seconds: float = GRACE_SECONDS

    async def run(self) -> None:
        """Until the embedder that is chosen serves. Does nothing for a project that was deleted."""
        while change := await self._load():
            if change.phase == ChangePhase.SETTLED and change.chosen == change.serving:
                await self._execute(DELETE_DEFAULT_CHOICE_SQL)
                await self._refresh()
                return
            await self._step(change)

    async def _step(self, change: Row[Any]) -> None:
        if change.phase == ChangePhase.SETTLED:
            await self._enter(ChangePhase.FILLING, change.serving)
        elif change.phase == ChangePhase.FILLING:
            if change.position is None:
                await self._wait()
            is_full = change.chosen != change.serving and await self._fill(change.chosen, change.position)
            await self._enter(ChangePhase.RETIRING, change.chosen if is_full else change.serving)
        elif change.phase == ChangePhase.RETIRING:
            await self._wait()
            await self._enter(ChangePhase.REMOVING, change.serving)
        else:
            await self._wait()
            await self._remove_from_other(change.serving)
            await self._enter(ChangePhase.SETTLED, change.serving)

    async def _fill(self, chosen: str, position: UUID | None) -> bool:
        """Returns False if the project has changed its mind."""
        part = await self._part(chosen)
        while ids := await self._page(position, BATCH_SIZE):
            await self._copy(part, ids)
            position = ids[-1]
            await self._execute(UPDATE_POSITION_SQL, position=position, count=len(ids))
            change = await self._load()
            if change is None or change.chosen != chosen:
                return False
        return True

    async def _copy(self, part: IndexPart, ids: Sequence[UUID]) -> None:
        """Whatever changed while it was embedded is embedded again: a live write may have come before this one."""
        waiting = list(ids)
        while waiting:
            upserts = await load_upserts(self.resources.database, self.project_id, waiting)
            await part.index.upsert(await build_entries(part.embedder, upserts))
            current = await self._versions(waiting)
            await part.index.remove([each for each in waiting if each not in current])
            waiting = outdated(upserts, current)

    async def _remove_from_other(self, serving: str) -> None:
        [other] = [each for each in await self.indexes.parts() if each.choice != serving]
        position: UUID | None = None
        while ids := await self._page(position, REMOVED_AT_ONCE):
            await other.index.remove(ids)
            position = ids[-1]

    async def _part(self, chosen: str) -> IndexPart:
        [part] = [each for each in await self.indexes.parts() if each.choice == chosen]
        return part

    async def _enter(self, phase: ChangePhase, serving: str) -> None:
        await self._execute(UPDATE_PHASE_SQL, phase=phase, serving=serving)
        await self._refresh()
        log.info("memory.embedder_change", project_id=str(self.project_id), phase=phase, serving=serving)

    async def _refresh(self) -> None:
        await self.indexes.choices.refresh()

    async def _wait(self) -> None:
        """Until every process knows the phase."""
        await asyncio.sleep(self.grace_seconds)

    async def _load(self) -> Row[Any] | None:
        async with self.resources.database.system() as tx:
            return (await tx.execute(SELECT_CHANGE_SQL, {"project": self.project_id})).first()

    async def _page(self, after: UUID | None, batch: int) -> list[UUID]:
        async with self.resources.database.system() as tx:
            values = {"project": self.project_id, "after": after, "batch": batch}
            return list(await tx.scalars(SELECT_PAGE_SQL, values))

    async def _versions(self, ids: Sequence[UUID]) -> dict[UUID, object]:
        async with self.resources.database.system() as tx:
            rows = await tx.execute(SELECT_VERSIONS_SQL, {"project": self.project_id, "ids": list(ids)})
            return {row.id: row.updated_at for row in rows}

    async def _execute(self, statement: Any, **values: object) -> None:
        async with self.resources.database.system() as tx:
            await tx.execute(statement, {"project": self.project_id, **values})


def outdated(upserts: Sequence[IndexUpsert], current: dict[UUID, object]) -> list[UUID]:
    written = {each.id: each.version for each in upserts}
    return [each for each, version in current.items() if written.get(each) != version]


async def change_embedder(resources: Resources, project_id: UUID, *, grace_seconds: float = GRACE_SECONDS) -> None:
    if isinstance(resources.index, IndexRouter):
        await EmbedderChange(resources, resources.index, project_id, grace_seconds).run()
