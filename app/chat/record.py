"""Write down what a turn leaves behind, exactly as its mode promises."""

from collections.abc import Sequence
from dataclasses import dataclass
from uuid import UUID

import structlog
from sqlalchemy.exc import SQLAlchemyError
from sqlalchemy.ext.asyncio import AsyncSession

from app.chat.answered import keep_answered
from app.chat.asked import Turn
from app.chat.progress import Progress
from app.chat.teach import count_access, maybe_summarize, teach
from app.chat.usage import add_usage
from app.core.errors import AppError
from app.core.ports import Change
from app.core.resources import Resources
from app.sessions.models import Message, Session
from app.sessions.privacy import PrivacyMode
from app.sessions.repository import MessageRepository, SessionRepository
from app.sessions.window import WindowMessage, windows_of

log = structlog.get_logger()


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
    changes: list[Change] = []
    event_id: UUID | None = None
    async with resources.database.transaction(turn.project_id, turn.user_id, turn.account_id) as tx:
        session = await SessionRepository(tx, turn.project_id, turn.user_id).held(turn.session_id, turn.id)
        asked, answer = await _say_both(tx, turn, progress, session)
        # Whoever has paused since the turn began meant what was just said too.
        if turn.promise.extracts and session.privacy_mode == PrivacyMode.NORMAL and not progress.about_forgetting:
            event_id, changes = await teach(tx, turn, asked, answer, answer_too=resources.values.has_model)
            await maybe_summarize(resources, tx, turn)
        if turn.promise.counts_access and session.privacy_mode == PrivacyMode.NORMAL:
            await count_access(tx, turn, [memory.id for memory in progress.recalled])
        await keep_answered(
            tx, turn, asked_id=asked.id, answer_id=answer.id, event_id=event_id, recalled=progress.recalled_ids
        )
        await _close(tx, turn, progress)
    await resources.index_queue.put(changes)
    await _extend_window(resources, turn, [asked, answer])
    return Recorded(asked.id, answer.id, event_id)


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
    await _extend_window(resources, turn, said)


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
    await add_usage(tx, turn.project_id, progress.usage)


async def _say_both(tx: AsyncSession, turn: Turn, progress: Progress, session: Session) -> tuple[Message, Message]:
    messages = MessageRepository(tx, turn.project_id)
    note = {"about_forgetting": True} if progress.about_forgetting else {}
    asked = await messages.say(session, "user", turn.content, mode=turn.mode, metadata_=note)
    answer = await messages.say(
        session,
        "assistant",
        progress.answer,
        mode=turn.mode,
        metadata_=note,
        prompt_tokens=progress.usage.prompt_tokens,
        completion_tokens=progress.usage.completion_tokens,
    )
    return asked, answer


async def _say_so_far(tx: AsyncSession, turn: Turn, progress: Progress, session: Session) -> list[Message]:
    messages = MessageRepository(tx, turn.project_id)
    key = {"idempotency_key": turn.idempotency_key} if turn.idempotency_key else {}
    note: dict[str, object] = {"interrupted": True, **key}
    said = [await messages.say(session, "user", turn.content, mode=turn.mode, metadata_=note)]
    if progress.answer:
        said.append(await messages.say(session, "assistant", progress.answer, mode=turn.mode, metadata_=note))
    return said


async def _extend_window(resources: Resources, turn: Turn, said: Sequence[Message]) -> None:
    if not said:
        return
    before = [message for message in turn.recent if message.position]
    fresh = [WindowMessage.of(message) for message in said]
    await windows_of(resources).keep_recent(turn.session_id, [*before, *fresh], active=True)
