"""Go into a session for a turn: one look at all that decides about it, then one step that takes the session for it.

Two round trips, however much is asked in each: under load a turn waits its turn before every one of them.
"""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any, Protocol
from uuid import UUID

import structlog
from sqlalchemy import text
from sqlalchemy.exc import SQLAlchemyError

from app.chat.turn.idempotency import Before
from app.chat.types import Turn
from app.chat.usage.usage import Budget
from app.core.database.database import Statement
from app.core.errors import Conflict, NotFound
from app.core.resources import Resources
from app.sessions.privacy import PrivacyMode
from app.sessions.repository import SessionRepository

log = structlog.get_logger()
LEASE_SECONDS = 30
"""After a crash in mid-answer the session is free again by then, at the latest."""
LOOK = text("""
select s.user_id, s.profile_id, s.privacy_mode, s.summary, s.summary_through, p.persona,
  j.settings -> 'monthly_token_budget' as budget,
  (select u.prompt_tokens + u.completion_tokens from token_usage u
    where u.project_id = s.project_id and u.month = date_trunc('month', now())::date) as used,
  extract(epoch from date_trunc('month', now()) + interval '1 month' - now())::int as seconds_left, t.*
from sessions s
join profiles p on p.project_id = s.project_id and p.id = s.profile_id
join projects j on j.id = s.project_id
left join lateral (
  select t.fingerprint, t.event_id, t.recalled, asked.id as asked_id, answer.id as answer_id, answer.content as answer,
    answer.prompt_tokens, answer.completion_tokens
  from turns t join messages asked on asked.id = t.user_message_id join messages answer on answer.id = t.message_id
  where t.project_id = s.project_id and t.user_id = s.user_id and t.idempotency_key = :key
) t on true
where s.project_id = :project_id and s.id = :id and (cast(:pinned as text) is null or s.user_id = :pinned)
""")
TAKE = text("""
update sessions set turn_id = :turn, turn_until = clock_timestamp() + make_interval(secs => :seconds),
  privacy_mode = coalesce(:mode, privacy_mode),
  updated_at = case when coalesce(:mode, privacy_mode) = privacy_mode then updated_at else now() end
where project_id = :project_id and id = :id and (turn_id is null or turn_until < clock_timestamp())
""")
# What an earlier try of the same turn left behind: the new one says it again.
DROP = text("""
delete from messages m using sessions s
where s.project_id = :project_id and s.id = :id and s.turn_id = :turn and m.project_id = s.project_id
  and m.user_id = s.user_id and m.session_id = s.id and m.metadata ->> 'idempotency_key' = :key
""")
# By itself, after whoever had the session before: a statement does not see what was committed while it waited.
FOUND = text("""
select s.turn_id = :turn as taken, coalesce((select max(m.position) from messages m
    where m.project_id = s.project_id and m.user_id = s.user_id and m.session_id = s.id), 0) as last,
  exists (select from turns t
    where t.project_id = s.project_id and t.user_id = s.user_id and t.idempotency_key = :key) as answered
from sessions s where s.project_id = :project_id and s.id = :id
""")
RENEW = text("""
update sessions set turn_until = clock_timestamp() + make_interval(secs => :seconds)
where project_id = :project_id and id = :id and turn_id = :turn
returning id
""")


class Ask(Protocol):
    """Statements one after the other in one transaction; the rows of the last."""

    def __call__(self, *statements: Statement) -> Awaitable[Sequence[Any]]: ...


@dataclass(frozen=True, slots=True)
class Wanted:
    """Which session, for whom, and for which message."""

    project_id: UUID
    pinned: str | None
    session_id: UUID
    key: str | None


@dataclass(frozen=True, slots=True)
class Standing:
    """What is known of a session before a turn in it begins."""

    user_id: str
    profile_id: UUID
    mode: PrivacyMode
    persona: str | None
    summary: str | None
    summary_through: int
    budget: Budget
    before: Before | None


@dataclass(frozen=True, slots=True)
class Taken:
    last: int
    """The place in the transcript of what was said last; 0 where nothing was."""
    answered: bool
    """By a first try of the same turn that has ended just now."""


async def look(ask: Ask, wanted: Wanted) -> Standing:
    values = {"project_id": wanted.project_id, "id": wanted.session_id, "pinned": wanted.pinned, "key": wanted.key}
    rows = await ask((LOOK, values))
    if not rows:
        raise NotFound(f"There is no session {wanted.session_id}")
    [row] = rows
    return Standing(
        *(row.user_id, row.profile_id, PrivacyMode(row.privacy_mode), row.persona, row.summary),
        summary_through=row.summary_through or 0,
        budget=Budget(row.budget, row.used or 0, row.seconds_left),
        before=Before.of(row) if row.fingerprint is not None else None,
    )


async def take(ask: Ask, wanted: Wanted, turn_id: UUID, mode: PrivacyMode | None) -> Taken:
    """From here on other turns in this session are refused, until this one ends or is not renewed in time.

    The mode, if one is named, is the session's from this message on."""
    values = {"project_id": wanted.project_id, "id": wanted.session_id, "turn": turn_id, "key": wanted.key}
    steps: list[Statement] = [(TAKE, {**values, "seconds": LEASE_SECONDS, "mode": mode})]
    if wanted.key is not None:
        steps.append((DROP, values))
    rows = await ask(*steps, (FOUND, values))
    if not rows:
        raise NotFound(f"There is no session {wanted.session_id}")
    [found] = rows
    if not found.taken:
        raise Conflict(
            "This session is still answering another message: wait for that answer, then send this one again",
            code="turn_in_progress",
            headers={"Retry-After": "1"},
        )
    return Taken(found.last, found.answered)


@asynccontextmanager
async def renewed(resources: Resources, turn: Turn) -> AsyncIterator[None]:
    renewing = resources.background.start(_renew(resources, turn))
    try:
        yield
    finally:
        renewing.cancel()


async def release(resources: Resources, turn: Turn) -> None:
    async with resources.database.transaction(turn.project_id, turn.user_id, turn.account_id) as tx:
        await SessionRepository(tx, turn.project_id).end_turn(turn.session_id, turn.id)


async def _renew(resources: Resources, turn: Turn) -> None:
    values = {"project_id": turn.project_id, "id": turn.session_id, "turn": turn.id, "seconds": LEASE_SECONDS}
    while True:
        await asyncio.sleep(resources.values.lease_renewed_seconds)
        try:
            if not await resources.database.at_once(turn.project_id, turn.user_id, (RENEW, values)):
                return  # it is ours no longer
        except SQLAlchemyError as error:
            log.warning("chat.lease_not_renewed", session_id=str(turn.session_id), exc_info=error)
