"""Answer a request to forget: find the memories that are meant, list them, and delete them once they are confirmed."""

import datetime as dt
from collections.abc import Sequence
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass, field
from uuid import UUID

from sqlalchemy import ColumnElement, func, select, text
from sqlalchemy.ext.asyncio import AsyncSession

from app.chat.forget.answers import (
    BY_WORDS,
    IN_INCOGNITO,
    NOTHING_FOUND,
    confirmation_of_all,
    confirmation_question,
    deletion_report,
)
from app.chat.forget.transcripts import count_messages, delete_messages
from app.chat.schemas import ForgetGroup, ForgetQuestion, RecalledMemory
from app.chat.types import Forgetting
from app.core.resources import Resources
from app.core.text.forget_requests import Extent, ForgetRequest
from app.memory.edit import Owner
from app.memory.find_meant import MeantMemories, find_meant
from app.memory.forget import forget, forget_where
from app.memory.ledger import Memory, MemoryRepository

MAX_CONFIRMED = 100
"""Ids that one confirmation takes."""
# The content of the memories is also in extractions that have not run yet, and in the history of memories made from
# the same message.
DELETE_EXTRACTIONS_OF_MEMORIES_SQL = text("""
delete from events e where e.project_id = :project_id and e.namespace = :namespace
  and e.status in ('PENDING', 'RUNNING') and e.request ->> 'source_message_id' in (
    select m.source_message_id::text from memories m
    where m.project_id = :project_id and m.namespace = :namespace and m.id = any(:ids))
""")
DELETE_EXTRACTIONS_SQL = text("""
delete from events e where e.project_id = :project_id and e.namespace = :namespace
  and e.status in ('PENDING', 'RUNNING') and (cast(:since as timestamptz) is null or e.created_at >= :since)
""")
CLEAR_HISTORY_INPUT_SQL = text("""
update memory_history h set input = null
where h.project_id = :project_id and h.input is not null and h.memory_id in (
  select m.id from memories m join memories f on f.project_id = m.project_id and f.namespace = m.namespace
    and f.source_message_id = m.source_message_id
  where f.project_id = :project_id and f.namespace = :namespace and f.id = any(:ids))
""")


@dataclass(frozen=True, slots=True)
class ForgetReply:
    answer: str
    question: ForgetQuestion | None = None
    forgotten: list[UUID] = field(default_factory=list)
    deleted_positions: frozenset[int] = frozenset()
    """Of messages of this session that were deleted, too."""
    by_meaning: bool = True
    """False if the request could not be embedded, so that memories were found by its words alone."""


async def ask_what_to_forget(resources: Resources, turn: Forgetting, request: ForgetRequest) -> ForgetReply:
    if not turn.policy.reads_memories:
        return ForgetReply(IN_INCOGNITO)
    if request.extent in (Extent.EVERYTHING, Extent.TODAY):
        return await _ask_about_all(resources, turn, request.extent)
    meant = await find_meant(resources, turn.namespace, request)
    groups = meant.groups
    memories = [memory for group in groups for memory in group][:MAX_CONFIRMED]
    if not memories:
        return ForgetReply(_with_limits(NOTHING_FOUND, meant), by_meaning=meant.by_meaning)
    async with _transaction(resources, turn) as tx:
        messages = await count_messages(tx, turn, [memory.id for memory in memories])
    question = ForgetQuestion(
        memories=[RecalledMemory.of(memory, 1.0) for memory in memories],
        groups=[ForgetGroup(memory=group[0].content, ids=[each.id for each in group]) for group in groups],
        count=len(memories),
        messages=messages,
    )
    listed = [[memory.content for memory in group] for group in groups]
    answer = _with_limits(confirmation_question(listed, messages), meant)
    return ForgetReply(answer, question, by_meaning=meant.by_meaning)


def _with_limits(answer: str, meant: MeantMemories) -> str:
    return answer if meant.by_meaning else f"{BY_WORDS}\n\n{answer}"


async def _ask_about_all(resources: Resources, turn: Forgetting, extent: Extent) -> ForgetReply:
    since = _since(extent)
    async with _transaction(resources, turn) as tx:
        repository = MemoryRepository(tx, turn.namespace.project_id, turn.namespace.user_id)
        where = [*repository.mine(), *_conditions(turn, since)]
        count = int(await tx.scalar(select(func.count()).select_from(Memory).where(*where)) or 0)
        newest = select(Memory).where(*where).order_by(Memory.created_at.desc(), Memory.id).limit(MAX_CONFIRMED)
        memories = list(await tx.scalars(newest))
        messages = await count_messages(tx, turn, None, since)
    if not count:
        return ForgetReply(NOTHING_FOUND)
    question = ForgetQuestion(
        memories=[RecalledMemory.of(memory, 1.0) for memory in memories],
        count=count,
        messages=messages,
        all=extent.value,
    )
    return ForgetReply(confirmation_of_all(extent, count, messages), question)


async def forget_confirmed(resources: Resources, turn: Forgetting) -> ForgetReply:
    """Deletes memories of this profile only. Memories that are already gone are not an error."""
    if not turn.policy.reads_memories:
        return ForgetReply(IN_INCOGNITO)
    confirmed = turn.confirmed
    assert confirmed is not None
    ids = confirmed.ids if confirmed.all is None else None
    since = _since(Extent(confirmed.all)) if confirmed.all else None
    deleted, positions = 0, frozenset[int]()
    if confirmed.messages:
        deleted, positions = await delete_messages(resources, turn, ids, since)
    await _delete_derived(resources, turn, ids, since)
    if ids is None:
        owner = Owner(turn.namespace.project_id, turn.namespace.user_id)
        forgotten = await forget_where(resources, owner, _conditions(turn, since))
    else:
        forgotten = await forget(resources, turn.namespace, ids)
    answer = deletion_report(len(forgotten), deleted, messages_asked=confirmed.messages)
    return ForgetReply(answer, forgotten=forgotten, deleted_positions=positions)


async def _delete_derived(
    resources: Resources, turn: Forgetting, ids: Sequence[UUID] | None, since: dt.datetime | None
) -> None:
    values = {"project_id": turn.namespace.project_id, "namespace": str(turn.namespace)}
    async with _transaction(resources, turn) as tx:
        if ids is None:
            await tx.execute(DELETE_EXTRACTIONS_SQL, {**values, "since": since})
            return
        await tx.execute(DELETE_EXTRACTIONS_OF_MEMORIES_SQL, {**values, "ids": list(ids)})
        await tx.execute(CLEAR_HISTORY_INPUT_SQL, {**values, "ids": list(ids)})


def _conditions(turn: Forgetting, since: dt.datetime | None) -> list[ColumnElement[bool]]:
    recent = [] if since is None else [Memory.created_at >= since]
    return [Memory.namespace == str(turn.namespace), *recent]


def _since(extent: Extent) -> dt.datetime | None:
    """The beginning of the day, in UTC."""
    if extent is not Extent.TODAY:
        return None
    return dt.datetime.now(dt.UTC).replace(hour=0, minute=0, second=0, microsecond=0)


def _transaction(resources: Resources, turn: Forgetting) -> AbstractAsyncContextManager[AsyncSession]:
    namespace = turn.namespace
    return resources.database.transaction(namespace.project_id, namespace.user_id, turn.account_id)
