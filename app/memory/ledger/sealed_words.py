"""Removes the words of deleted memories from other rows of an encrypted project, where Postgres cannot compare them."""

from collections.abc import Sequence
from uuid import UUID

from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncSession

SELECT_WORDS_SQL = text("""
select id, namespace, content, kind, run_id from memories where project_id = :project_id and id = any(:ids)
""")
SELECT_CONTEXTS_SQL = text("""
select id, namespace, context from memories
where project_id = :project_id and namespace = any(:namespaces) and id <> all(:ids) and context is not null
""")
SELECT_INPUTS_SQL = text("""
select h.id, h.memory_id, h.input, m.namespace, m.run_id from memories m
join memory_history h on h.project_id = m.project_id and h.memory_id = m.id
where m.project_id = :project_id and m.namespace = any(:namespaces) and m.run_id = any(:runs) and m.id <> all(:ids)
  and h.input is not null
""")
CLEAR_INPUTS_SQL = text("""
update memory_history set input = null where project_id = :project_id and id = any(:ids)
""")


async def find_sealed_contexts(tx: AsyncSession, project_id: UUID, ids: Sequence[UUID]) -> list[UUID]:
    """The memories that carry the words of these in their context."""
    words = (await tx.execute(SELECT_WORDS_SQL, {"project_id": project_id, "ids": list(ids)})).all()
    namespaces = sorted({row.namespace for row in words})
    values = {"project_id": project_id, "ids": list(ids), "namespaces": namespaces}
    contents = {name: {row.content for row in words if row.namespace == name} for name in namespaces}
    of_lines = {name: [each for each in contents[name] if "\n" in each] for name in namespaces}
    rows = await tx.execute(SELECT_CONTEXTS_SQL, values)
    return [
        row.id
        for row in rows
        if not contents[row.namespace].isdisjoint(row.context.split("\n"))
        or _contains(row.context, of_lines[row.namespace])
    ]


async def clear_sealed_inputs(tx: AsyncSession, project_id: UUID, ids: Sequence[UUID]) -> None:
    """The history of a fact holds the messages that it was read from. A deleted episode is one of them."""
    words = (await tx.execute(SELECT_WORDS_SQL, {"project_id": project_id, "ids": list(ids)})).all()
    said = {(row.namespace, row.run_id, row.content) for row in words if row.kind == "episode" and row.run_id}
    namespaces, runs = sorted({name for name, _, _ in said}), sorted({run for _, run, _ in said})
    values = {"project_id": project_id, "ids": list(ids), "namespaces": namespaces, "runs": runs}
    rows = (await tx.execute(SELECT_INPUTS_SQL, values)).all() if said else ()
    found = [
        row.id for row in rows if any((row.namespace, row.run_id, each.get("content")) in said for each in row.input)
    ]
    if found:
        await tx.execute(CLEAR_INPUTS_SQL, {"project_id": project_id, "ids": found})


def _contains(context: str, contents: Sequence[str]) -> bool:
    """Whether whole lines of the context are one of the contents."""
    lines = f"\n{context}\n"
    return any(f"\n{content}\n" in lines for content in contents)
