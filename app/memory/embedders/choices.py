"""What each process knows of the projects that do not use the default embedder.

Processes agree without messages: a process reads the table every two seconds and never uses what it read more than
`MAX_AGE_SECONDS` ago. A change moves from phase to phase, and waits `GRACE_SECONDS` where the next one would be wrong
for a process that knows only the phase before. Writes are checked again in Postgres (`MARK_INDEXED_SQL`).
"""

import asyncio
import time
from dataclasses import dataclass
from enum import StrEnum
from uuid import UUID

from sqlalchemy import text

from app.core.background_tasks import SupervisedTask
from app.core.database.database import Database
from app.core.ports import EmbedderChoice

POLL_SECONDS = 2.0
MAX_AGE_SECONDS = 5.0
GRACE_SECONDS = 8.0
"""Longer than the maximum age, by the time that a search takes."""
SILENT_AFTER_SECONDS = 120.0
# The mark stays when the last project has gone, so that its vectors are removed from the second index, too.
SELECT_STATES_SQL = text("""
select project_id, chosen, serving, phase, version from project_embedders
union all select null, null, null, null, null from maintenance where name = 'index.multilingual'
""")


class ChangePhase(StrEnum):
    SETTLED = "settled"
    FILLING = "filling"
    """The other index is being filled. Writes reach both; searches use the old one."""
    RETIRING = "retiring"
    """Searches use the new index. Writes reach both, because another process may still search the old one."""
    REMOVING = "removing"
    """The vectors in the old index are being removed."""


@dataclass(frozen=True, slots=True)
class EmbedderState:
    """Of one project."""

    chosen: EmbedderChoice
    serving: EmbedderChoice
    phase: ChangePhase
    version: UUID | None

    @property
    def other(self) -> EmbedderChoice:
        is_english = self.serving is EmbedderChoice.ENGLISH
        return EmbedderChoice.MULTILINGUAL if is_english else EmbedderChoice.ENGLISH

    @property
    def written(self) -> tuple[EmbedderChoice, ...]:
        """The indexes that must have every memory of the project."""
        both = self.phase in (ChangePhase.FILLING, ChangePhase.RETIRING)
        return (self.serving, self.other) if both else (self.serving,)


DEFAULT_STATE = EmbedderState(EmbedderChoice.ENGLISH, EmbedderChoice.ENGLISH, ChangePhase.SETTLED, None)


class EmbedderChoices:
    def __init__(self, database: Database) -> None:
        self.task = SupervisedTask("embedder_choices", self._follow, silent_after_seconds=SILENT_AFTER_SECONDS)
        self.in_use = False
        """Whether a project uses the multilingual embedder, or has used it."""
        self._database = database
        self._states: dict[UUID, EmbedderState] = {}
        self._loaded_at = -MAX_AGE_SECONDS

    @property
    def has_multilingual_projects(self) -> bool:
        return any(EmbedderChoice.MULTILINGUAL in (each.chosen, *each.written) for each in self._states.values())

    async def current(self, project_id: UUID | None) -> EmbedderState:
        """Needs no round trip to Postgres, unless the regular ones have failed for a while."""
        if time.monotonic() - self._loaded_at > MAX_AGE_SECONDS:
            await self.refresh()
        return self.known(project_id)

    def known(self, project_id: UUID | None) -> EmbedderState:
        return DEFAULT_STATE if project_id is None else self._states.get(project_id, DEFAULT_STATE)

    async def refresh(self) -> None:
        started = time.monotonic()
        async with self._database.system() as tx:
            rows = (await tx.execute(SELECT_STATES_SQL)).all()
        self._states = {
            row.project_id: EmbedderState(
                EmbedderChoice(row.chosen), EmbedderChoice(row.serving), ChangePhase(row.phase), row.version
            )
            for row in rows
            if row.project_id
        }
        self._loaded_at, self.in_use = started, bool(rows)

    async def _follow(self) -> None:
        while True:
            await self.refresh()
            self.task.beat()
            await asyncio.sleep(POLL_SECONDS)
