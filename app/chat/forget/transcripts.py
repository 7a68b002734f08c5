"""The messages of a profile's conversations that contain what is to be forgotten: counted, and deleted on request."""

import datetime as dt
from collections.abc import Mapping, Sequence
from uuid import UUID

from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncSession

from app.chat.types import Forgetting
from app.core.database.content import is_sealing
from app.core.resources import Resources
from app.sessions.window import window_store

# Those that a memory came from, and those that repeat its words.
_CONTAINING = """
from messages m join sessions s on s.project_id = m.project_id and s.user_id = m.user_id and s.id = m.session_id
where m.project_id = :project_id and m.user_id = :user_id and s.profile_id = :profile_id
  and (cast(:since as timestamptz) is null or m.created_at >= :since)
  and (cast(:ids as uuid[]) is null or m.id = any(:repeating) or exists (
    select from memories f where f.project_id = :project_id and f.namespace = :namespace and f.id = any(:ids)
      and (f.source_message_id = m.id
        or strpos(lower(m.content), lower(nullif(rtrim(f.content, '.!。।'), ''))) > 0)))"""
# What was asked and answered about forgetting repeats the words. It is deleted with the others, but is not counted.
_COUNTS = "coalesce(m.metadata ->> 'about_forgetting', '') <> 'true'"
COUNT_MESSAGES_SQL = text(f"select count(*) {_CONTAINING} and {_COUNTS}")  # only our own text
DELETE_MESSAGES_SQL = text(f"""
with found as (select m.id {_CONTAINING}), gone as (
  delete from messages m where m.project_id = :project_id and (m.id in (select id from found)
    or (m.user_id = :user_id and m.session_id = :session_id and not {_COUNTS}))
  returning m.session_id, m.position, {_COUNTS} as counts
), without_summary as (
  update sessions s set summary = null, summary_through = null, title = null
  where s.project_id = :project_id and s.id in (select session_id from gone)
)
select session_id, position, counts from gone
""")  # noqa: S608  # only our own text


# Of an encrypted project, in which Postgres cannot compare the words.
SELECT_SEALED_MESSAGES_SQL = text("""
select m.id, m.content from messages m
join sessions s on s.project_id = m.project_id and s.user_id = m.user_id and s.id = m.session_id
where m.project_id = :project_id and m.user_id = :user_id and s.profile_id = :profile_id
  and (cast(:since as timestamptz) is null or m.created_at >= :since)
""")
SELECT_SEALED_MEMORIES_SQL = text("""
select id, content from memories where project_id = :project_id and namespace = :namespace and id = any(:ids)
""")


async def count_messages(
    tx: AsyncSession, turn: Forgetting, ids: Sequence[UUID] | None, since: dt.datetime | None = None
) -> int:
    """`ids`: those of the memories that are to be forgotten; None counts all messages."""
    return int(await tx.scalar(COUNT_MESSAGES_SQL, await _values(tx, turn, ids, since)) or 0)


async def delete_messages(
    resources: Resources, turn: Forgetting, ids: Sequence[UUID] | None, since: dt.datetime | None = None
) -> tuple[int, frozenset[int]]:
    """For use before the memories are deleted. Returns how many contained it, and the positions deleted here."""
    namespace = turn.namespace
    async with resources.database.transaction(namespace.project_id, namespace.user_id, turn.account_id) as tx:
        gone = (await tx.execute(DELETE_MESSAGES_SQL, await _values(tx, turn, ids, since))).all()
    others = {row.session_id for row in gone} - {turn.session_id}
    if others:
        await window_store(resources, namespace.project_id).delete(*others)
    here = frozenset(row.position for row in gone if row.session_id == turn.session_id)
    return sum(row.counts for row in gone), here


async def _values(
    tx: AsyncSession, turn: Forgetting, ids: Sequence[UUID] | None, since: dt.datetime | None
) -> dict[str, object]:
    namespace = turn.namespace
    values: dict[str, object] = {
        "project_id": namespace.project_id,
        "user_id": namespace.user_id,
        "profile_id": namespace.profile_id,
        "namespace": str(namespace),
        "session_id": turn.session_id,
        "ids": None if ids is None else list(ids),
        "since": since,
        "repeating": [],
    }
    if ids is not None and is_sealing(tx, namespace.project_id):
        values["repeating"] = await _find_repeating(tx, values)
    return values


async def _find_repeating(tx: AsyncSession, values: Mapping[str, object]) -> list[UUID]:
    """The messages that repeat the words of the memories."""
    memories = (await tx.execute(SELECT_SEALED_MEMORIES_SQL, values)).all()
    words = [row.content.rstrip(".!。।").lower() for row in memories]
    messages = await tx.execute(SELECT_SEALED_MESSAGES_SQL, values)
    return [row.id for row in messages if any(each and each in row.content.lower() for each in words)]
