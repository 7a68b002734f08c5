"""Seals the content of a project with its newest key, in batches, while the project is in use.

A batch is one transaction, and rows that are sealed already are left out: a run that was interrupted continues where
it was when it is started again.
"""

from collections.abc import Callable
from typing import Any
from uuid import UUID

from sqlalchemy import text

from app.core.database.content import (
    Content,
    ContentBytes,
    ContentDigest,
    ContentJson,
    content_leaves,
    content_messages,
)
from app.core.database.database import Database, Statement
from app.encryption.tables import SEALED_TABLES, SealedTable
from app.memory.ledger import content_hash
from app.memory.origin import Origin

Report = Callable[[int], object]
"""Called with the number of rows of each batch."""
# Webhooks are told about changes of text, and this is none.
MARK_RESEALING_SQL = text("select set_config('keepsake.resealing', 'on', true)")


async def reseal(database: Database, project_id: UUID, prefix: str, report: Report) -> None:
    """`prefix` is what content begins with that is sealed with the newest key."""
    for table in SEALED_TABLES:
        after: UUID | None = UUID(int=0)
        while after is not None:
            after = await _reseal_batch(database, project_id, table, {"prefix": prefix, "after": after}, report)


async def is_used(database: Database, project_id: UUID, prefix: str) -> bool:
    """Whether content is sealed with the key of this prefix."""
    async with database.transaction(project_id) as tx:
        values = {"project_id": project_id, "prefix": prefix}
        return any([await tx.scalar(table.uses, values) for table in SEALED_TABLES])


async def _reseal_batch(
    database: Database, project_id: UUID, table: SealedTable, values: dict[str, object], report: Report
) -> UUID | None:
    """Returns the id of the last row, or None if there was no row."""
    async with database.transaction(project_id) as tx:
        await tx.execute(MARK_RESEALING_SQL)
        rows = (await tx.execute(table.select, {"project_id": project_id, "most": table.batch, **values})).all()
        if not rows:
            return None
        await database.pipeline_in(tx, *[_update(table, project_id, row) for row in rows])
    report(len(rows))
    last: UUID = rows[-1].id
    return last


def _update(table: SealedTable, project_id: UUID, row: Any) -> Statement:
    values: dict[str, object] = {"project_id": project_id, "id": row.id}
    record = getattr(row, table.record)
    for name in table.columns:
        values[name] = _marked(table, name, getattr(row, name), project_id, record)
    if "hash" in table.more:
        values["digest"] = _digest(project_id, row)
    return table.update, values


def _marked(table: SealedTable, name: str, value: Any, project_id: UUID, record: UUID) -> object:
    if value is None:
        return None
    if name in table.texts:
        return Content(value, project_id, record)
    if name in table.bytes:
        return ContentBytes(value, project_id, record)
    mark = content_messages if name in table.messages else content_leaves
    return ContentJson(mark(value, project_id, record))


def _digest(project_id: UUID, row: Any) -> ContentDigest | None:
    """None if the stored one is keyed already, or is not that of the content."""
    plain = content_hash(row.content, Origin(agent_id=row.agent_id, app_id=row.app_id, run_id=row.run_id))
    return ContentDigest(plain.hex(), project_id) if bytes(row.hash) == plain else None
