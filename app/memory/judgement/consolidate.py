"""Judge the memories that were written before the server judged new ones, by rules, and merge those that say the same.

It may be interrupted and started again at any time: what was replaced stays replaced, and is not read again.
"""

import asyncio
from collections import defaultdict
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass, field
from uuid import UUID

from sqlalchemy import text

from app.core.database.database import Database
from app.memory.judgement.duplicates import FoundPairs, Known, find_replacements, read_wordings
from app.memory.judgement.judgement import record_replacements
from app.memory.judgement.neighbours import Pair, Statement, load_statements_page

PAGE_SIZE = 1000
PAIRS_PER_TRANSACTION = 200
STATEMENT_TIMEOUT = "120s"
"""Another run may replace memories of the same namespace meanwhile: its transaction is waited for."""
SELECT_PROJECT_IDS_SQL = text("""
select id from projects where cast(:project_id as uuid) is null or id = :project_id order by id
""")
SELECT_NAMESPACES_OF_USERS_SQL = text("""
select distinct namespace from memories
where project_id = :project_id and kind <> 'message' and role = 'user' order by namespace
""")
Report = Callable[[int, int], None]
Compare = Callable[[str, Sequence[Statement]], Awaitable[None]]
"""Reads the statements of a namespace that are left."""


@dataclass(slots=True)
class Consolidated:
    """Of one project."""

    statements: int = 0
    replaced: int = 0
    """By statements that contradict them."""
    merged: int = 0
    """Into statements that say the same."""
    pairs: list[tuple[UUID, UUID]] = field(default_factory=list)
    """The superseded memory and the one that is kept."""


@dataclass(frozen=True, slots=True)
class Consolidation:
    database: Database
    dry_run: bool = False
    merge_duplicates: bool = False
    """Also supersede what another statement says, too, in the same words or in others."""
    compare_left: Compare | None = None

    async def run(self, project_id: UUID | None, report: Report) -> dict[UUID, Consolidated]:
        """Of one project or of all. The report counts namespaces."""
        async with self.database.system() as tx:
            projects = list(await tx.scalars(SELECT_PROJECT_IDS_SQL, {"project_id": project_id}))
        namespaces = [(each, name) for each in projects for name in await self._namespaces(each)]
        counts: dict[UUID, Consolidated] = defaultdict(Consolidated)
        for number, (of_project, name) in enumerate(namespaces, 1):
            await self._consolidate_namespace(of_project, name, counts[of_project])
            report(number, len(namespaces))
        return counts

    async def _consolidate_namespace(self, project_id: UUID, name: str, counts: Consolidated) -> None:
        statements = await self._load_all(project_id, name)
        counts.statements += len(statements)
        # Reading takes about a quarter of a millisecond for each statement, so it is left to a thread.
        found = await asyncio.to_thread(self._find, statements)
        for pairs, are_duplicates in ((found.replaced, False), (found.merged, True)):
            done = await self._record(project_id, pairs, are_duplicates=are_duplicates)
            counts.pairs += [(pair.old.id, pair.new.id) for pair in done]
            if are_duplicates:
                counts.merged += len(done)
            else:
                counts.replaced += len(done)
        if self.compare_left is not None:
            gone = {pair.old.id for pair in (*found.replaced, *found.merged)}
            await self.compare_left(name, [each for each in statements if each.id not in gone])

    def _find(self, statements: Sequence[Statement]) -> FoundPairs:
        return find_replacements(statements, Known(read_wordings(statements) if self.merge_duplicates else None))

    async def _namespaces(self, project_id: UUID) -> Sequence[str]:
        statement = (SELECT_NAMESPACES_OF_USERS_SQL, {"project_id": project_id})
        return [row.namespace for row in await self.database.pipeline(project_id, None, statement)]

    async def _load_all(self, project_id: UUID, namespace: str) -> list[Statement]:
        statements: list[Statement] = []
        while page := await load_statements_page(
            self.database, project_id, namespace, statements[-1].id if statements else UUID(int=0), PAGE_SIZE
        ):
            statements += page
        return statements

    async def _record(self, project_id: UUID, pairs: Sequence[Pair], *, are_duplicates: bool) -> list[Pair]:
        if self.dry_run:
            return list(pairs)
        done: list[Pair] = []
        for start in range(0, len(pairs), PAIRS_PER_TRANSACTION):
            part = pairs[start : start + PAIRS_PER_TRANSACTION]
            async with self.database.transaction(project_id, statement_timeout=STATEMENT_TIMEOUT) as tx:
                done += await record_replacements(tx, project_id, part, are_duplicates=are_duplicates)
        return done
