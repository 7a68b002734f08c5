"""The statements of a namespace that are near to each other by their vectors, as a language model reads them.

Each statement is compared once, and again after it was changed: the table `compared_memories` has those that were. So
the tokens of a project are spent on new statements only, and a run that ends early goes on where it ended.
"""

import asyncio
import datetime as dt
from collections import Counter
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field
from uuid import UUID

from sqlalchemy import text

from app.core.errors import AppError
from app.core.ports import SearchScope, Vector
from app.core.resources import Resources
from app.memory.judgement.duplicates.by_model import (
    MAX_CHARACTERS,
    PAIRS_PER_QUESTION,
    UnusableComparison,
    ask_which_are_same,
)
from app.memory.judgement.duplicates.differences import differ_for_certain
from app.memory.judgement.duplicates.known import Likeness, choose_kept
from app.memory.judgement.judgement import record_replacements
from app.memory.judgement.neighbours import Pair, Statement

MIN_SIMILARITY = 0.65
"""What is less similar is not shown to the model. It is low, because `I` and `the user` alone cost 0.2."""
MAX_NEIGHBOURS = 5
STATEMENTS_PER_STEP = 100
MAX_QUESTIONS = 50
"""In one run of a project."""
MAX_UNUSABLE = 3
SELECT_UNCOMPARED_SQL = text("""
select m.id from memories m left join compared_memories c on c.project_id = m.project_id and c.memory_id = m.id
where m.project_id = :project_id and m.id = any(cast(:ids as uuid[]))
  and (c.compared_at is null or c.compared_at < m.updated_at)
order by m.created_at, m.id
""")
MARK_COMPARED_SQL = text("""
insert into compared_memories (project_id, memory_id, compared_at)
select :project_id, m.id, :compared_at from memories m
where m.project_id = :project_id and m.id = any(cast(:ids as uuid[])) order by m.id
on conflict (project_id, memory_id) do update set compared_at = excluded.compared_at
""")


@dataclass(slots=True)
class ModelComparison:
    """Of one project, in one run."""

    resources: Resources
    project_id: UUID
    merged: int = 0
    asked: int = 0
    refused: Counter[str] = field(default_factory=Counter)
    """Why answers had no effect, or why the run asked no more."""
    without_vector: int = 0
    """Statements that the embedder has not read yet, because its provider is away. They are compared later."""
    has_ended: bool = False

    async def compare(self, namespace: str, statements: Sequence[Statement]) -> None:
        """The statements that are current in the namespace."""
        current = {each.id: each for each in statements if len(each.content) <= MAX_CHARACTERS}
        waiting = [] if self.has_ended or not current else await self._select_uncompared(list(current))
        for start in range(0, len(waiting), STATEMENTS_PER_STEP):
            if self.has_ended:
                return
            began = dt.datetime.now(dt.UTC)
            step = waiting[start : start + STATEMENTS_PER_STEP]
            vectors = await self.resources.index.load_vectors(self.project_id, step)
            self.without_vector += len(step) - len(vectors)
            if await self._ask_about(await self._find_pairs(namespace, vectors, current), current):
                await self._mark(list(vectors), began)

    async def _find_pairs(
        self, namespace: str, vectors: Mapping[UUID, Vector], current: Mapping[UUID, Statement]
    ) -> list[Pair]:
        scope = SearchScope(self.project_id, (namespace,))
        found: dict[frozenset[UUID], Pair] = {}
        for id_, vector in vectors.items():
            if id_ not in current:
                continue
            near = await self.resources.index.find_similar(scope, vector, MAX_NEIGHBOURS + 1)
            others = [each.id for each in near if each.id != id_ and (each.similarity or 0) >= MIN_SIMILARITY]
            for pair in _build_pairs(current[id_], [current[each] for each in others if each in current]):
                found.setdefault(frozenset((pair.new.id, pair.old.id)), pair)
            await asyncio.sleep(0)
        return list(found.values())

    async def _ask_about(self, pairs: Sequence[Pair], current: dict[UUID, Statement]) -> bool:
        """Whether all of them were answered in some way."""
        for start in range(0, len(pairs), PAIRS_PER_QUESTION):
            asked = pairs[start : start + PAIRS_PER_QUESTION]
            if self.asked >= MAX_QUESTIONS:
                self._end("question_limit")
                return False
            self.asked += 1
            try:
                same = await ask_which_are_same(self.resources, self.project_id, asked)
            except AppError as error:
                self._end(error.reason)
                return False
            except UnusableComparison as error:
                self.refused[str(error)] += 1
                self.has_ended = self.refused.total() >= MAX_UNUSABLE
                return False
            await self._record(same, current)
        return True

    async def _record(self, same: Sequence[Pair], current: dict[UUID, Statement]) -> None:
        async with self.resources.database.transaction(self.project_id) as tx:
            done = await record_replacements(tx, self.project_id, same, are_duplicates=True)
        self.merged += len(done)
        for pair in done:
            current.pop(pair.old.id, None)

    def _end(self, reason: str) -> None:
        self.refused[reason] += 1
        self.has_ended = True

    async def _select_uncompared(self, ids: Collection[UUID]) -> list[UUID]:
        async with self.resources.database.system() as tx:
            values = {"project_id": self.project_id, "ids": list(ids)}
            return list(await tx.scalars(SELECT_UNCOMPARED_SQL, values))

    async def _mark(self, ids: Sequence[UUID], began: dt.datetime) -> None:
        """With the time before they were compared: what is changed meanwhile is compared again."""
        async with self.resources.database.system() as tx:
            values = {"project_id": self.project_id, "ids": list(ids), "compared_at": began}
            await tx.execute(MARK_COMPARED_SQL, values)


def _build_pairs(one: Statement, others: Sequence[Statement]) -> list[Pair]:
    pairs = []
    for other in others:
        pair = Pair.of(one, other)
        if pair is None or one.alike != other.alike or one.id in other.coexists or other.id in one.coexists:
            continue
        kept = choose_kept(pair.new, pair.old, Likeness.EQUAL)
        if kept and not differ_for_certain(one.content, other.content):
            pairs.append(kept)
    return pairs
