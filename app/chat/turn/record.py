"""Write down what a turn leaves behind, exactly as its mode promises."""

import datetime as dt
import json
import uuid
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from uuid import UUID

import structlog
from sqlalchemy import text
from sqlalchemy.exc import SQLAlchemyError
from sqlalchemy.ext.asyncio import AsyncSession

from app.chat.progress import Progress
from app.chat.turn.idempotency import keeping
from app.chat.turn.memorize import Lesson, summing_up, teach
from app.chat.types import Said, Turn
from app.core.database.database import Statement
from app.core.errors import AppError
from app.core.resources import Resources
from app.memory.ledger import access_count_statements
from app.projects.token_usage import usage_statement
from app.sessions.models import Message, Session
from app.sessions.privacy import PrivacyMode
from app.sessions.repository import MessageRepository, SessionRepository, title_of
from app.sessions.window import WindowMessage, windows_of

log = structlog.get_logger()
# Both sides, and the session free again.
SAY = text("""
with said as (
  insert into messages (id, project_id, user_id, session_id, role, content, privacy_mode, metadata, prompt_tokens,
    completion_tokens, created_at)
  values
    (:asked_id, :project_id, :user_id, :session_id, 'user', :asked, :mode, cast(:note as jsonb), null, null, :asked_at),
    (:answer_id, :project_id, :user_id, :session_id, 'assistant', :answer, :mode, cast(:note as jsonb), :prompt_tokens,
      :completion_tokens, :answered_at)
)
update sessions set turn_id = null, turn_until = null, last_message_at = :answered_at, updated_at = now(),
  title = coalesce(title, :title)
where project_id = :project_id and id = :session_id and turn_id = :turn
""")
PLACES = text("select id, position from messages where project_id = :project_id and id = any(:ids)")


@dataclass(frozen=True, slots=True)
class Recorded:
    user_message_id: UUID | None = None
    message_id: UUID | None = None
    event_id: UUID | None = None


async def record_or_keep(resources: Resources, turn: Turn, progress: Progress) -> Recorded:
    """An answer that cannot be recorded leaves what an interrupted one leaves."""
    try:
        return await _record(resources, turn, progress)
    except (AppError, SQLAlchemyError):
        await keep_interrupted(resources, turn, progress)
        raise


async def _record(resources: Resources, turn: Turn, progress: Progress) -> Recorded:
    """Messages, usage and the job that reads them for facts: all of it in one transaction, or nothing."""
    if not turn.promise.keeps_transcript:
        return await _record_incognito(resources, turn, progress)
    async with resources.database.transaction(turn.project_id, turn.user_id, turn.account_id) as tx:
        session = await SessionRepository(tx, turn.project_id, turn.user_id).held(turn.session_id, turn.id)
        # Whoever has paused since the turn began meant what was just said too.
        exchange = _settle(resources, turn, progress, paused=session.privacy_mode != PrivacyMode.NORMAL)
        rows = await resources.database.together(tx, *_steps(resources, exchange))
    await resources.index_queue.put(exchange.lesson.changes if exchange.lesson else [], from_chat=True)
    positions = {row.id: row.position for row in rows}
    await _extend_window(resources, turn, [exchange.as_window(said, positions[said.id]) for said in exchange.said])
    return Recorded(exchange.asked.id, exchange.answer.id, exchange.event_id)


@dataclass(frozen=True, slots=True)
class Exchange:
    """A turn that was answered, as it is written down."""

    turn: Turn
    progress: Progress
    asked: Said
    answer: Said
    lesson: Lesson | None
    paused: bool

    @property
    def said(self) -> tuple[Said, Said]:
        return self.asked, self.answer

    @property
    def event_id(self) -> UUID | None:
        return self.lesson.event_id if self.lesson else None

    def as_window(self, said: Said, position: int) -> WindowMessage:
        teaches = self.turn.mode is PrivacyMode.NORMAL and not self.progress.about_forgetting
        return WindowMessage(said.role, said.content, position, teaches=teaches)


def _settle(resources: Resources, turn: Turn, progress: Progress, *, paused: bool) -> Exchange:
    asked = Said(uuid.uuid4(), "user", turn.content, dt.datetime.now(dt.UTC))
    answer = Said(uuid.uuid4(), "assistant", progress.answer, dt.datetime.now(dt.UTC))
    teaches = turn.promise.extracts and not paused and not progress.about_forgetting
    lesson = teach(turn, asked, answer, answer_too=resources.values.has_model) if teaches else None
    return Exchange(turn, progress, asked, answer, lesson, paused)


def _steps(resources: Resources, exchange: Exchange) -> Iterator[Statement]:
    """All of it in one round trip; the last tells the places of what was said."""
    turn, progress = exchange.turn, exchange.progress
    yield _say(exchange)
    if exchange.lesson:
        yield from exchange.lesson.steps
        yield from summing_up(resources, turn)
    if turn.promise.counts_access and not exchange.paused:
        yield from access_count_statements(turn.project_id, [memory.id for memory in progress.recalled])
    yield from keeping(turn, exchange.asked.id, exchange.answer.id, exchange.event_id, progress.recalled_ids)
    yield usage_statement(turn.project_id, progress.usage, turns=1)
    yield PLACES, {"project_id": turn.project_id, "ids": [said.id for said in exchange.said]}


def _say(exchange: Exchange) -> Statement:
    turn, asked, answer = exchange.turn, exchange.asked, exchange.answer
    note = {"about_forgetting": True} if exchange.progress.about_forgetting else {}
    return SAY, {
        "project_id": turn.project_id,
        "user_id": turn.user_id,
        "session_id": turn.session_id,
        "turn": turn.id,
        "mode": turn.mode,
        "note": json.dumps(note),
        "asked_id": asked.id,
        "asked": asked.content,
        "asked_at": asked.at,
        "title": title_of(asked.content),
        "answer_id": answer.id,
        "answer": answer.content,
        "answered_at": answer.at,
        "prompt_tokens": exchange.progress.usage.prompt_tokens,
        "completion_tokens": exchange.progress.usage.completion_tokens,
    }


async def keep_interrupted(resources: Resources, turn: Turn, progress: Progress) -> None:
    """The model failed or the client left: what was said so far stays in the transcript, and teaches nothing."""
    progress.estimate_usage()
    try:
        async with resources.database.transaction(turn.project_id, turn.user_id, turn.account_id) as tx:
            session = await SessionRepository(tx, turn.project_id, turn.user_id).held(turn.session_id, turn.id)
            said = await _say_so_far(tx, turn, progress, session) if turn.promise.keeps_transcript else []
            await _close(tx, turn, progress)
    except (SQLAlchemyError, AppError) as error:
        log.warning("chat.interrupted_turn_lost", session_id=str(turn.session_id), exc_info=error)
        return
    await _extend_window(resources, turn, [WindowMessage.of(message) for message in said])


async def _record_incognito(resources: Resources, turn: Turn, progress: Progress) -> Recorded:
    """Kept first, then looked whether that is still wanted: whoever leaves incognito meanwhile finds nothing later."""
    windows = windows_of(resources)
    before = await windows.incognito(turn.session_id)
    said = [WindowMessage("user", turn.content), WindowMessage("assistant", progress.answer, key=turn.secret_key)]
    await windows.keep_incognito(turn.session_id, [*before, *said])
    async with resources.database.transaction(turn.project_id, turn.user_id, turn.account_id) as tx:
        session = await SessionRepository(tx, turn.project_id, turn.user_id).find(turn.session_id)
        wanted = session is not None and session.privacy_mode == turn.mode and session.turn_id == turn.id
        await _close(tx, turn, progress)
    if not wanted:
        await windows.forget_incognito(turn.session_id)
    return Recorded()


async def _close(tx: AsyncSession, turn: Turn, progress: Progress) -> None:
    await SessionRepository(tx, turn.project_id).end_turn(turn.session_id, turn.id)
    await tx.execute(*usage_statement(turn.project_id, progress.usage, turns=1))


async def _say_so_far(tx: AsyncSession, turn: Turn, progress: Progress, session: Session) -> list[Message]:
    messages = MessageRepository(tx, turn.project_id)
    key = {"idempotency_key": turn.idempotency_key} if turn.idempotency_key else {}
    note: dict[str, object] = {"interrupted": True, **key}
    said = [await messages.say(session, "user", turn.content, mode=turn.mode, metadata_=note)]
    if progress.answer:
        said.append(await messages.say(session, "assistant", progress.answer, mode=turn.mode, metadata_=note))
    return said


async def _extend_window(resources: Resources, turn: Turn, said: Sequence[WindowMessage]) -> None:
    if not said:
        return
    before = [message for message in turn.recent if message.position]
    await windows_of(resources).keep_recent(turn.session_id, [*before, *said], active=True)
