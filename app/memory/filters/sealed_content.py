"""Conditions on the content of memories in an encrypted project, where Postgres cannot compare it.

The memories that the other conditions leave are read and compared here. Each condition on content becomes the list of
the memories that it holds for.
"""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any
from uuid import UUID

from sqlalchemy import select
from sqlalchemy.ext.asyncio import AsyncSession

from app.core.database.database import Database
from app.memory.filters.transaction import filter_transaction
from app.memory.filters.tree import And, ContentContains, Filter, HasId, Not, OneOf, Or, to_sql
from app.memory.ledger import Memory

BATCH_SIZE = 1000
EVERYTHING = And(())
ContentCondition = ContentContains | OneOf


async def find_content(database: Database, condition: Filter, project_id: UUID, user_id: str | None) -> Filter:
    """The filter as it is, unless the project is encrypted and the filter has conditions on content."""
    if not any(_content_conditions(condition)) or await database.cipher_of(project_id) is None:
        return condition
    async with filter_transaction(database, condition, project_id, user_id) as tx:
        return await compare_content(tx, condition, project_id)


async def compare_content(tx: AsyncSession, condition: Filter, project_id: UUID) -> Filter:
    found: dict[ContentCondition, list[UUID]] = {each: [] for each in _content_conditions(condition)}
    if not found:
        return condition
    query = select(Memory.id, Memory.content).where(
        Memory.project_id == project_id, to_sql(_without_content(condition))
    )
    after = UUID(int=0)
    while rows := (await tx.execute(query.where(Memory.id > after).order_by(Memory.id).limit(BATCH_SIZE))).all():
        for each, ids in found.items():
            ids.extend(row.id for row in rows if _holds(each, row.content))
        after = rows[-1].id
    return _with_ids(condition, found)


def _content_conditions(condition: Filter) -> Iterator[ContentCondition]:
    match condition:
        case ContentContains() | OneOf("text"):
            yield condition
        case And(parts) | Or(parts):
            for part in parts:
                yield from _content_conditions(part)
        case Not(part):
            yield from _content_conditions(part)


def _without_content(condition: Filter) -> Filter:
    """Holds for every memory for which the filter holds, and perhaps for others."""
    match condition:
        case ContentContains() | OneOf("text"):
            return EVERYTHING
        case And(parts):
            return And(tuple(map(_without_content, parts)))
        case Or(parts):
            return Or(tuple(map(_without_content, parts)))
        case Not(part):
            return EVERYTHING if any(_content_conditions(part)) else condition
    return condition


def _with_ids(condition: Filter, found: Mapping[Any, Sequence[UUID]]) -> Filter:
    match condition:
        case ContentContains() | OneOf("text"):
            return HasId(tuple(found[condition]))
        case And(parts):
            return And(tuple(_with_ids(part, found) for part in parts))
        case Or(parts):
            return Or(tuple(_with_ids(part, found) for part in parts))
        case Not(part):
            return Not(_with_ids(part, found))
    return condition


def _holds(condition: ContentCondition, content: str) -> bool:
    match condition:
        case OneOf(_, values):
            return content in values
        case ContentContains(text, any_case=True):
            return _folded(text) in _folded(content)
    return condition.text in content


def _folded(text: str) -> str:
    """As Postgres does it in `to_sql`: each letter becomes one letter, in upper case first where that is one letter."""
    if text.isascii():
        return text.lower()
    raised = (each.upper() if len(each.upper()) == 1 else each for each in text)
    return "".join(each.lower()[0] for each in raised)
