"""Replace memories by newer ones, with their history. A trigger tells webhooks and deletes what was derived."""

import datetime as dt
from collections.abc import Mapping, Sequence
from uuid import UUID

from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncSession

from app.memory.ledger.row_locks import lock_chains
from app.memory.origin import ENTITY_FIELDS
from app.memory.supersession.chain import DUPLICATE
from app.memory.supersession.decide import ReplaceableRow, Replacement, ReplacementOutcome, decide_replacement

_ORIGIN = ", ".join(ENTITY_FIELDS)
LOCK_REPLACEABLE_MEMORIES_SQL = text("""
select id, namespace, kind, immutable, replaced_by, coexists_with, created_at, hash from memories
where project_id = :project_id and id = any(:ids) order by id for update
""")
SELECT_SUCCESSORS_SQL = text("""
with recursive chain as (
  select id, replaced_by from memories where project_id = :project_id and id = any(:ids)
  union
  select m.id, m.replaced_by from chain c join memories m on m.project_id = :project_id and m.id = c.replaced_by
)
select id, replaced_by from chain where replaced_by is not null
""")
SUPERSEDE_MEMORIES_SQL = text(f"""
with given as (
  select * from unnest(cast(:old_ids as uuid[]), cast(:new_ids as uuid[]), cast(:moments as timestamptz[]),
    cast(:reasons as text[])) as given (old_id, new_id, at, reason)
), superseded as (
  update memories m set replaced_by = given.new_id, valid_until = greatest(given.at, m.created_at),
    coexists_with = nullif(array_remove(m.coexists_with, given.new_id), '{{}}')
  from given where m.project_id = :project_id and m.id = given.old_id
  returning m.id, {", ".join(f"m.{name}" for name in ENTITY_FIELDS)}, m.kind, given.new_id, given.reason
)
insert into memory_history (project_id, memory_id, {_ORIGIN}, kind, event, metadata)
select :project_id, id, {_ORIGIN}, kind, 'SUPERSEDE',
  jsonb_strip_nulls(jsonb_build_object('replaced_by', new_id, 'reason', reason)) from superseded
""")  # noqa: S608  # only our own column names are put together
RECORD_SUCCESSORS_SQL = text(f"""
with given as (
  select new_id, array_agg(old_id order by old_id) as old_ids, min(at) as at
  from unnest(cast(:old_ids as uuid[]), cast(:new_ids as uuid[]), cast(:moments as timestamptz[]))
    as given (old_id, new_id, at)
  group by new_id
), successors as (
  update memories m set valid_from = least(m.valid_from, given.at)
  from given where m.project_id = :project_id and m.id = given.new_id
  returning m.id, {", ".join(f"m.{name}" for name in ENTITY_FIELDS)}, m.kind, given.old_ids
)
insert into memory_history (project_id, memory_id, {_ORIGIN}, kind, event, metadata)
select :project_id, id, {_ORIGIN}, kind, 'REPLACE', jsonb_build_object('replaced', old_ids) from successors
""")  # noqa: S608


async def supersede(
    tx: AsyncSession, project_id: UUID, replacements: Sequence[Replacement], *, even_if_undone: bool = False
) -> list[ReplacementOutcome]:
    """One outcome for each replacement, in order; each sees the effect of those before it.

    A replacement that was undone by a request is made again only with `even_if_undone`: for a client that asks for it,
    not for a decision of the server. The index needs no change: superseded memories stay in it."""
    if not replacements:
        return []
    ids = sorted({each for one in replacements for each in (one.old_id, one.new_id)})
    values = {"project_id": project_id, "ids": ids}
    await lock_chains(tx, project_id, ids)
    rows = {row.id: ReplaceableRow._make(row) for row in await tx.execute(LOCK_REPLACEABLE_MEMORIES_SQL, values)}
    successors = {row.id: row.replaced_by for row in await tx.execute(SELECT_SUCCESSORS_SQL, values)}
    outcomes = [decide_replacement(each, rows, successors, even_if_undone=even_if_undone) for each in replacements]
    decided = zip(replacements, outcomes, strict=True)
    possible = [each for each, outcome in decided if outcome is ReplacementOutcome.SUPERSEDED]
    if possible:
        values = {"project_id": project_id, **_columns(possible, rows)}
        await tx.execute(SUPERSEDE_MEMORIES_SQL, values)
        await tx.execute(RECORD_SUCCESSORS_SQL, values)
    return outcomes


def _columns(replacements: Sequence[Replacement], rows: Mapping[UUID, ReplaceableRow]) -> dict[str, object]:
    moments: list[dt.datetime] = [each.at or rows[each.new_id].created_at for each in replacements]
    return {
        "old_ids": [each.old_id for each in replacements],
        "new_ids": [each.new_id for each in replacements],
        "moments": moments,
        "reasons": [DUPLICATE if each.is_duplicate else None for each in replacements],
    }
