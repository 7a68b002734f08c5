"""Write down what a turn leaves behind, exactly as its mode promises."""

from collections.abc import Sequence
from dataclasses import dataclass
from uuid import UUID

import structlog
from sqlalchemy.exc import SQLAlchemyError
from sqlalchemy.ext.asyncio import AsyncSession

from app.chat.answered import keep_answered
from app.chat.asked import Turn
from app.chat.jobs import summarize
from app.chat.progress import Progress
from app.chat.usage import add_usage
from app.core.errors import NotFound
from app.core.jobs import defer
from app.core.ports import Change, Role
from app.core.resources import Resources
from app.memory.ledger import MemoryRepository
from app.memory.new import Kind, NewMemory
from app.memory.remember import Conversation, queue_extraction
from app.memory.write import write_memories
from app.sessions.models import Message, Session
from app.sessions.privacy import PrivacyMode
from app.sessions.repository import MessageRepository, SessionRepository
from app.sessions.window import WindowMessage, windows_of

log = structlog.get_logger()
SUMMARIZE_FROM = 40
"""So many messages at hand: time to put the older ones in short."""


@dataclass(frozen=True, slots=True)
class Recorded:
    user_message_id: UUID | None = None
    message_id: UUID | None = None
    event_id: UUID | None = None


async def record(resources: Resources, turn: Turn, progress: Progress) -> Recorded:
    """Messages, usage and the job that reads them for facts: all of it in one transaction, or nothing."""
    if not turn.promise.keeps_transcript:
        return await _record_incognito(resources, turn, progress)
    changes: list[Change] = []
    async with resources.database.transaction(turn.project_id, turn.user_id, turn.account_id) as tx:
        session = await SessionRepository(tx, turn.project_id, turn.user_id).get(turn.session_id)
        asked, answer = await _say_both(tx, turn, progress, session)
        event_id = None
        if turn.promise.extracts and session.privacy_mode == PrivacyMode.NORMAL and not progress.about_forgetting:
            event_id, changes = await _teach(tx, turn, asked, answer)
            await _maybe_summarize(resources, tx, turn)
        if turn.promise.counts_access and progress.recalled:
            ids = [memory.id for memory in progress.recalled]
            await MemoryRepository(tx, turn.project_id).count_access(ids)
        await _close(tx, turn, progress)
        recalled: list[dict[str, object]] = [{"id": str(each.id), "score": each.score} for each in progress.recalled]
        await keep_answered(tx, turn, asked_id=asked.id, answer_id=answer.id, event_id=event_id, recalled=recalled)
    await resources.index_queue.put(changes)
    await _extend_window(resources, turn, [asked, answer])
    return Recorded(asked.id, answer.id, event_id)


async def keep_interrupted(resources: Resources, turn: Turn, progress: Progress) -> None:
    """The model failed or the client left: what was said so far stays in the transcript, and teaches nothing."""
    said: list[Message] = []
    try:
        async with resources.database.transaction(turn.project_id, turn.user_id, turn.account_id) as tx:
            if turn.promise.keeps_transcript:
                session = await SessionRepository(tx, turn.project_id, turn.user_id).get(turn.session_id)
                messages = MessageRepository(tx, turn.project_id)
                said = [await messages.say(session, "user", turn.content, privacy_mode=turn.mode)]
                if progress.answer:
                    values = {"metadata_": {"interrupted": True}, "privacy_mode": turn.mode}
                    said.append(await messages.say(session, "assistant", progress.answer, **values))
            await SessionRepository(tx, turn.project_id).end_turn(turn.session_id, turn.id)
    except (SQLAlchemyError, NotFound) as error:
        log.warning("chat.interrupted_turn_lost", session_id=str(turn.session_id), exc_info=error)
        return
    await _extend_window(resources, turn, said)


async def _record_incognito(resources: Resources, turn: Turn, progress: Progress) -> Recorded:
    windows = windows_of(resources)
    said = [
        WindowMessage("user", turn.content),
        WindowMessage("assistant", progress.answer, key=turn.secret_key),
    ]
    before = await windows.incognito(turn.session_id)
    await windows.keep_incognito(turn.session_id, [*before, *said])
    async with resources.database.transaction(turn.project_id, turn.user_id, turn.account_id) as tx:
        await _close(tx, turn, progress)
    return Recorded()


async def _close(tx: AsyncSession, turn: Turn, progress: Progress) -> None:
    await add_usage(tx, turn.project_id, progress.usage)
    await SessionRepository(tx, turn.project_id).end_turn(turn.session_id, turn.id)


async def _say_both(tx: AsyncSession, turn: Turn, progress: Progress, session: Session) -> tuple[Message, Message]:
    messages = MessageRepository(tx, turn.project_id)
    asked = await messages.say(session, "user", turn.content, privacy_mode=turn.mode)
    answer = await messages.say(
        session,
        "assistant",
        progress.answer,
        privacy_mode=turn.mode,
        prompt_tokens=progress.usage.prompt_tokens,
        completion_tokens=progress.usage.completion_tokens,
    )
    return asked, answer


async def _teach(tx: AsyncSession, turn: Turn, asked: Message, answer: Message) -> tuple[UUID, list[Change]]:
    """Both messages as episodes at once, and a job that looks for facts in them."""
    before = turn.recent[-1].content if turn.recent else None
    run_id = str(turn.session_id)
    episodes = [
        NewMemory(
            message.content,
            kind=Kind.EPISODE,
            role=Role(message.role),
            context=context,
            run_id=run_id,
            created_at=message.created_at,
            source_message_id=message.id,
        )
        for message, context in ((asked, before), (answer, asked.content))
    ]
    _, changes = await write_memories(tx, turn.namespace, episodes, deduplicate=False)
    said = [{"role": message.role, "content": message.content} for message in (asked, answer)]
    conversation = Conversation(
        said, run_id=run_id, session_id=turn.session_id, source_message_id=asked.id, said_at=asked.created_at
    )
    return await queue_extraction(tx, turn.namespace, conversation), changes


async def _maybe_summarize(resources: Resources, tx: AsyncSession, turn: Turn) -> None:
    if resources.values.summarizes and len(turn.recent) >= SUMMARIZE_FROM:
        lock = f"summary:{turn.session_id}"
        await defer(tx, summarize, lock=lock, project_id=str(turn.project_id), session_id=str(turn.session_id))


async def _extend_window(resources: Resources, turn: Turn, said: Sequence[Message]) -> None:
    if not said:
        return
    windows = windows_of(resources)
    before = [message for message in turn.recent if message.position]
    fresh = [WindowMessage(message.role, message.content, message.position) for message in said]
    await windows.keep_recent(turn.session_id, [*before, *fresh], active=True)
