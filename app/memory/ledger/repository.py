import datetime as dt
import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from uuid import UUID

from sqlalchemy import ColumnElement, select, text

from app.core.database.content import Content, is_sealing
from app.core.database.database import Statement
from app.core.database.repository import Repository
from app.core.errors import NotFound
from app.memory.ledger.add import ADD_MEMORIES_SQL, Remembered, build_rows, lock_statements, read_outcome, rows_as_json
from app.memory.ledger.memory import Memory, NewMemory, is_memory
from app.memory.ledger.row_locks import SELECT_CHANGED_WITH_SQL, lock_chains, lock_linked
from app.memory.ledger.sealed_words import clear_sealed_inputs, find_sealed_contexts
from app.memory.namespace import Namespace
from app.memory.origin import ENTITY_FIELDS

_ORIGIN = ", ".join(ENTITY_FIELDS)
INSERT_DELETE_HISTORY_SQL = text(f"""
insert into memory_history (project_id, memory_id, {_ORIGIN}, kind, event)
select project_id, id, {_ORIGIN}, kind, 'DELETE' from memories
where project_id = :project_id and id = any(:ids)
""")  # noqa: S608  # only our own column names are put together
# The episode after a deleted one, and a fact extracted from it, carry its words in their context, as whole lines.
# `is true` lets Postgres look up each line in a hash table. Otherwise it would compare every pair.
SELECT_WITH_WORDS_IN_CONTEXT_SQL = text("""
with words as materialized (
  select namespace, content from memories where project_id = :project_id and id = any(:ids)
)
select m.id from memories m
where m.project_id = :project_id and m.namespace = any(array(select distinct namespace from words))
  and m.context is not null and m.id not in (select unnest(cast(:ids as uuid[])))
  and (exists (select from unnest(string_to_array(m.context, E'\\n')) as line
      where ((m.namespace, line) in (select namespace, content from words)) is true)
    or exists (select from words w where strpos(w.content, E'\\n') > 0 and w.namespace = m.namespace
      and strpos(E'\\n' || m.context || E'\\n', E'\\n' || w.content || E'\\n') > 0))
""")
CLEAR_CONTEXTS_SQL = text("""
update memories set context = null, state = 'pending', updated_at = clock_timestamp()
where project_id = :project_id and id = any(:ids) returning id
""")
# The history of a fact holds the messages that it was read from. A deleted episode is one of them.
CLEAR_INPUT_SQL = text("""
update memory_history h set input = null
from memories f join memories m on m.project_id = f.project_id and m.run_id = f.run_id and m.namespace = f.namespace
where f.project_id = :project_id and f.id = any(:ids) and f.kind = 'episode' and m.id <> all(:ids)
  and h.project_id = :project_id and h.memory_id = m.id
  and h.input @> jsonb_build_array(jsonb_build_object('content', f.content))
""")
# A memory that holds the words of a waiting or failed event until its facts are extracted takes them along.
REMOVE_INTERIM_WORDS_SQL = text("""
update events e set
  messages = coalesce((
    select jsonb_agg(said.value order by said.place)
    from jsonb_array_elements(e.messages) with ordinality as said (value, place)
    where e.interim_ids[said.place] is null or e.interim_ids[said.place] <> all(:ids)), '[]'),
  interim_ids = array(
    select held.id from unnest(e.interim_ids) with ordinality as held (id, place)
    where held.id is null or held.id <> all(:ids) order by held.place)
from memories m
where m.project_id = :project_id and m.id = any(:ids) and e.project_id = :project_id and e.id = m.event_id
  and e.messages is not null and m.id = any(e.interim_ids)
""")
DELETE_MEMORIES_SQL = text("""
with locked as (select id from memories where project_id = :project_id and id = any(:ids) order by id for update)
delete from memories where project_id = :project_id and id = any(array(select id from locked)) returning id
""")
INSERT_UPDATE_HISTORY_SQL = text(f"""
insert into memory_history (project_id, memory_id, {_ORIGIN}, event, old_memory, new_memory, metadata)
values (:project_id, :memory_id, {", ".join(f":{name}" for name in ENTITY_FIELDS)}, 'UPDATE', :old_memory, :new_memory,
  cast(:metadata as jsonb))
""")  # noqa: S608  # only our own column names are put together
ARCHIVE_MEMORIES_SQL = text(f"""
with archived as (
  update memories set archived_at = now()
  where project_id = :project_id and id = any(:ids) and archived_at is null
  returning id, {_ORIGIN}, kind
), history as (
  insert into memory_history (project_id, memory_id, {_ORIGIN}, kind, event, metadata)
  select :project_id, id, {_ORIGIN}, kind, 'ARCHIVE', cast(:metadata as jsonb) from archived
)
select id from archived
""")  # noqa: S608  # only our own column names are put together
# A replacement that is undone is remembered, so that it is not made again.
RESTORE_MEMORIES_SQL = text(f"""
with before as (
  select id, archived_at, replaced_by from memories
  where project_id = :project_id and id = any(:ids) and (archived_at is not null or replaced_by is not null)
  order by id for update
), restored as (
  update memories m set archived_at = null, replaced_by = null, valid_until = null,
    state = case when before.archived_at is null then m.state else 'pending' end,
    coexists_with = case when before.replaced_by is null then m.coexists_with
      else array_append(array_remove(m.coexists_with, before.replaced_by), before.replaced_by) end
  from before where m.project_id = :project_id and m.id = before.id
  returning m.id, {", ".join(f"m.{name}" for name in ENTITY_FIELDS)}, m.kind, before.replaced_by
), history as (
  insert into memory_history (project_id, memory_id, {_ORIGIN}, kind, event, metadata)
  select :project_id, id, {_ORIGIN}, kind, 'RESTORE',
    case when replaced_by is not null then jsonb_build_object('replaced_by', replaced_by) end from restored
)
select id from restored
""")  # noqa: S608  # only our own column names are put together
# Locked in one order first: two requests that count the same memories at once would block each other otherwise.
LOCK_MEMORIES_SQL = text("""
select id from memories where project_id = :project_id and id = any(:ids) order by id for update
""")
COUNT_ACCESS_SQL = text("""
update memories set access_count = access_count + 1,
  accessed_at = (array_append(accessed_at, now()))[greatest(1, cardinality(accessed_at) - 18):]
where project_id = :project_id and id = any(:ids)
""")


@dataclass(frozen=True, slots=True)
class DeletedMemories:
    ids: list[UUID]
    without_context: list[UUID]
    """Memories that lost the deleted words from their context and must be indexed again."""


class LedgerRepository(Repository[Memory]):
    """All rows of the ledger: memories, and messages of the conversation store."""

    model = Memory
    noun = "memory"

    async def add_all(
        self,
        namespace: Namespace,
        new: Sequence[NewMemory],
        *,
        deduplicate: bool,
        event_ids: Mapping[UUID, UUID] | None = None,
        hashes: Mapping[UUID, bytes] | None = None,
    ) -> list[tuple[Remembered, dt.datetime | None]]:
        """In order; each new row comes with the version of it that is to be indexed. `event_ids` has the event of each
        new memory by its id, and `hashes` a hash other than that of its content."""
        if not new:
            return []
        rows = build_rows(namespace, new, None, deduplicate=deduplicate)
        for memory, row in zip(new, rows, strict=True):
            row["event_id"] = (event_ids or {}).get(memory.id)
            if hashes:
                row["digest"] = hashes[memory.id].hex()
        for statement in lock_statements(namespace, rows, deduplicate=deduplicate):
            await self.tx.execute(*statement)
        added = await self.tx.execute(ADD_MEMORIES_SQL, {"rows": rows_as_json(rows), "project_id": self.project_id})
        return [read_outcome(row) for row in added]

    async def find_all(self, ids: Sequence[UUID], *where: ColumnElement[bool]) -> list[Memory]:
        return list(await self.tx.scalars(self.rows.where(Memory.id.in_(ids), *where)))

    async def delete_all(self, ids: Sequence[UUID], *still: ColumnElement[bool]) -> DeletedMemories:
        """A trigger blanks the words in the history: what stays is that something was deleted, and when.

        `still`: conditions that a memory must meet once it is locked."""
        carriers = await self.lock_with_carriers(ids)
        matching = await self._matching(ids, still) if still else ids
        if len(matching) < len(ids):
            ids, carriers = matching, await self._find_carriers(matching)
        values = {"project_id": self.project_id, "ids": list(ids)}
        await self.tx.execute(INSERT_DELETE_HISTORY_SQL, values)
        await self._clear_input(ids)
        await self.tx.execute(REMOVE_INTERIM_WORDS_SQL, values)
        without_context = await self.clear_contexts(carriers)
        return DeletedMemories(list(await self.tx.scalars(DELETE_MEMORIES_SQL, values)), without_context)

    async def lock_with_carriers(self, ids: Sequence[UUID]) -> list[UUID]:
        """Lock these memories and all that their deletion changes. Return those that carry their words as context."""
        await lock_chains(self.tx, self.project_id, ids)
        carriers = await self._find_carriers(ids)
        await lock_linked(self.tx, self.project_id, ids, carriers)
        return carriers

    async def _find_carriers(self, ids: Sequence[UUID]) -> list[UUID]:
        if is_sealing(self.tx, self.project_id):
            return await find_sealed_contexts(self.tx, self.project_id, ids)
        values = {"project_id": self.project_id, "ids": list(ids)}
        return list(await self.tx.scalars(SELECT_WITH_WORDS_IN_CONTEXT_SQL, values))

    async def _matching(self, ids: Sequence[UUID], where: Sequence[ColumnElement[bool]]) -> list[UUID]:
        return list(await self.tx.scalars(select(Memory.id).where(Memory.id.in_(ids), *where)))

    async def clear_contexts(self, ids: Sequence[UUID]) -> list[UUID]:
        """Return those that still exist, to be indexed again. For use with memories that the transaction has locked."""
        if not ids:
            return []
        return list(await self.tx.scalars(CLEAR_CONTEXTS_SQL, {"project_id": self.project_id, "ids": list(ids)}))

    async def _clear_input(self, ids: Sequence[UUID]) -> None:
        if is_sealing(self.tx, self.project_id):
            await clear_sealed_inputs(self.tx, self.project_id, ids)
        else:
            await self.tx.execute(CLEAR_INPUT_SQL, {"project_id": self.project_id, "ids": list(ids)})

    async def delete_replaced(self, ids: Sequence[UUID]) -> None:
        """Like `delete_all`, for memories whose words are not forgotten: the context of others keeps them."""
        values = {"project_id": self.project_id, "ids": list(ids)}
        await self.tx.execute(INSERT_DELETE_HISTORY_SQL, values)
        await self.tx.execute(DELETE_MEMORIES_SQL, values)

    async def archive_all(self, ids: Sequence[UUID], *, rule: str | None = None) -> list[UUID]:
        """Return those that were not archived before. For use with memories that the transaction has locked. `rule` is
        the name of the retention rule that archives them."""
        metadata = json.dumps({"rule": rule}) if rule is not None else None
        values = {"project_id": self.project_id, "ids": list(ids), "metadata": metadata}
        return list(await self.tx.scalars(ARCHIVE_MEMORIES_SQL, values))

    async def restore_all(self, ids: Sequence[UUID]) -> list[UUID]:
        """Return those that were archived or superseded. The archived ones are pending, because the index has removed
        them."""
        return list(await self.tx.scalars(RESTORE_MEMORIES_SQL, {"project_id": self.project_id, "ids": list(ids)}))

    async def lock(self, memory_id: UUID) -> Memory:
        row: Memory | None = await self.tx.scalar(self.rows.where(Memory.id == memory_id).with_for_update())
        if row is None:
            raise NotFound(f"There is no memory {memory_id}")
        return row

    async def lock_to_change(self, memory_id: UUID) -> Memory:
        """Lock it, and all that a change of its text changes besides."""
        ids = SELECT_CHANGED_WITH_SQL.bindparams(project_id=self.project_id, id=memory_id)
        rows = await self.tx.scalars(self.rows.where(Memory.id.in_(ids)).order_by(Memory.id).with_for_update())
        for row in rows.all():
            if row.id == memory_id:
                return row
        raise NotFound(f"There is no memory {memory_id}")

    async def record_update(self, row: Memory, old_content: str) -> None:
        values = {
            "project_id": self.project_id,
            "memory_id": row.id,
            "old_memory": Content(old_content, self.project_id, row.id),
            "new_memory": Content(row.content, self.project_id, row.id),
            "metadata": json.dumps(row.metadata_),
        }
        await self.tx.execute(INSERT_UPDATE_HISTORY_SQL, {**values, **asdict(row.origin)})


class MemoryRepository(LedgerRepository):
    """The rows that the APIs for memories return and change."""

    def mine(self) -> list[ColumnElement[bool]]:
        return [*super().mine(), is_memory()]


def access_count_statements(project_id: UUID, ids: Sequence[UUID]) -> list[Statement]:
    values = {"project_id": project_id, "ids": list(ids)}
    return [(LOCK_MEMORIES_SQL, values), (COUNT_ACCESS_SQL, values)] if ids else []
