"""Judge new statements once their vectors are known, and record which older ones they replace.

The indexer calls this between writing the index and marking the rows as indexed. So the effect is there once a memory
is searchable, and what a crash leaves is judged again when the sweep indexes it: judging twice has the effect of once.
"""

import json
from collections import defaultdict
from collections.abc import Sequence
from uuid import UUID

import structlog
from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncSession

from app.core.database.database import Database
from app.core.ports import IndexUpsert, SearchScope, Vector, VectorIndex
from app.memory.judgement.neighbours import Pair, Statement, build_pairs, load_statements
from app.memory.judgement.readings import Reading, may_concern, may_replace, read_statement
from app.memory.judgement.rules import Verdict, judge_readings
from app.memory.namespace import holds_messages
from app.memory.supersession import Replacement, ReplacementOutcome, supersede

log = structlog.get_logger()
MAX_NEIGHBOURS = 16
"""How many the index is asked for. Some of them are superseded already, or do not count."""
MAX_COMPARED = 8
"""How many of those that count are read, the nearest first. Reading one takes about a tenth of a millisecond."""
APPEND_EVENT_RESULTS_SQL = text("""
update events e set results = e.results || given.results, updated_at = now()
from jsonb_to_recordset(cast(:given as jsonb)) as given (id uuid, results jsonb)
where e.project_id = :project_id and e.id = given.id
""")


class Judgement:
    def __init__(self, database: Database, index: VectorIndex) -> None:
        self._database = database
        self._index = index

    async def judge_indexed(self, upserts: Sequence[IndexUpsert], vectors: Sequence[Vector]) -> None:
        """Most statements could replace nothing: for these, nothing is looked up."""
        near: dict[UUID, dict[UUID, list[UUID]]] = defaultdict(dict)
        for upsert, vector in zip(upserts, vectors, strict=True):
            if not holds_messages(upsert.namespace) and may_replace(upsert.content):
                scope = SearchScope(upsert.project_id, (upsert.namespace,))
                found = await self._index.find_similar(scope, vector, MAX_NEIGHBOURS + 1)
                others = [each.id for each in found if each.id != upsert.id and each.id not in upsert.judged_with]
                near[upsert.project_id][upsert.id] = others
        for project_id, of_project in near.items():
            ids = {*of_project, *(each for others in of_project.values() for each in others)}
            statements = await load_statements(self._database, project_id, ids)
            nearest = {
                id_: [each for each in others if each in statements][:MAX_COMPARED]
                for id_, others in of_project.items()
            }
            replacing = choose_replacing(build_pairs(nearest, statements))
            if replacing:
                async with self._database.transaction(project_id) as tx:
                    await append_results(tx, project_id, await record_replacements(tx, project_id, replacing))


def choose_replacing(pairs: Sequence[Pair]) -> list[Pair]:
    """Those of the pairs in which the newer statement replaces the older one."""
    readings: dict[UUID, Reading] = {}
    return [pair for pair in pairs if _replaces(pair, readings)]


def _replaces(pair: Pair, readings: dict[UUID, Reading]) -> bool:
    new = _read(pair.new, readings)
    if not may_concern(new, pair.old.content):
        return False
    return judge_readings(new, _read(pair.old, readings)) is Verdict.REPLACES


def _read(statement: Statement, readings: dict[UUID, Reading]) -> Reading:
    if statement.id not in readings:
        readings[statement.id] = read_statement(statement.content)
    return readings[statement.id]


async def record_replacements(
    tx: AsyncSession, project_id: UUID, replacing: Sequence[Pair], *, are_duplicates: bool = False
) -> list[Pair]:
    """Return those that had an effect. A memory that was changed while it was compared replaces nothing, and stays."""
    wanted = [
        Replacement(
            pair.old.id,
            pair.new.id,
            pair.new.created_at,
            is_duplicate=are_duplicates,
            old_hash=pair.old.hash,
            new_hash=pair.new.hash,
        )
        for pair in replacing
    ]
    outcomes = await supersede(tx, project_id, wanted)
    done = [pair for pair, outcome in zip(replacing, outcomes, strict=True) if outcome is ReplacementOutcome.SUPERSEDED]
    if done:
        log.info("memory.replaced", project_id=str(project_id), count=len(done))
    return done


async def append_results(tx: AsyncSession, project_id: UUID, replaced: Sequence[Pair]) -> None:
    """The event of each newer memory names what it replaced."""
    results: dict[UUID, list[dict[str, object]]] = defaultdict(list)
    for pair in replaced:
        if pair.new.event_id is not None:
            results[pair.new.event_id].append(replaced_result(pair))
    if results:
        given = json.dumps([{"id": str(event_id), "results": added} for event_id, added in results.items()])
        await tx.execute(APPEND_EVENT_RESULTS_SQL, {"project_id": project_id, "given": given})


def replaced_result(pair: Pair) -> dict[str, object]:
    """An `UPDATE` of the older memory, in the words of mem0's clients."""
    return {"id": str(pair.old.id), "event": "UPDATE", "replaced_by": str(pair.new.id)}
