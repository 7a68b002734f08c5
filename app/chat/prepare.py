"""Everything of a turn that may fail with a status: it happens before the answer begins."""

import uuid
from dataclasses import replace
from uuid import UUID

from sqlalchemy.ext.asyncio import AsyncSession

from app.chat.answered import find_answered, find_secretly_answered
from app.chat.asked import Asked, Turn
from app.chat.prompt import estimate_tokens
from app.chat.usage import check_budget
from app.core.errors import BadRequest, Conflict, NotFound
from app.core.ports import ModelOptions
from app.core.resources import Resources
from app.identity.caller import Caller
from app.profiles.repository import ProfileRepository
from app.sessions.models import Session
from app.sessions.privacy import PrivacyMode, promise_of
from app.sessions.repository import MessageRepository, SessionRepository
from app.sessions.window import WindowMessage, windows_of

LOADED_MESSAGES = 60


async def prepare_turn(resources: Resources, caller: Caller, asked: Asked) -> Turn:
    if estimate_tokens(asked.content) > resources.values.context_tokens // 2:
        raise BadRequest("The message is longer than the model can read: send it in parts", code="message_too_long")
    async with resources.database.transaction(caller.project_id, caller.user_id, caller.account_id) as tx:
        session = await _find_session(tx, caller, asked)
        profile = await ProfileRepository(tx, caller.project_id, session.user_id).get(session.profile_id)
    await resources.limits.admit_chat(f"{caller.project_id}:{session.user_id}")
    turn = await _describe(resources, caller, session, profile.persona, asked)
    async with resources.database.transaction(caller.project_id, caller.user_id, caller.account_id) as tx:
        answered = find_secretly_answered(turn) or await find_answered(tx, turn)
        if answered is None:
            await check_budget(tx, caller.project_id)
            await SessionRepository(tx, caller.project_id).take_turn(session.id, turn.id, resources.values.turn_seconds)
    return replace(turn, answered=answered)


async def _find_session(tx: AsyncSession, caller: Caller, asked: Asked) -> Session:
    """The one named, in the mode asked for from this message on; or a new one."""
    if asked.session_id is None:
        return await _open_session(tx, caller, asked)
    session = await SessionRepository(tx, caller.project_id, caller.user_id).get(asked.session_id)
    if asked.user_id is not None and asked.user_id != session.user_id:
        raise NotFound(f"There is no session {asked.session_id}")
    if asked.profile_id is not None and asked.profile_id != session.profile_id:
        raise Conflict("This session belongs to another profile: leave `profile_id` out, or start another session")
    if asked.privacy_mode is not None and asked.privacy_mode != session.privacy_mode:
        session.privacy_mode = asked.privacy_mode
        await tx.flush()
    return session


async def _open_session(tx: AsyncSession, caller: Caller, asked: Asked) -> Session:
    user_id = caller.act_for(asked.user_id)
    profile = await ProfileRepository(tx, caller.project_id).of_user(user_id, asked.profile_id)
    mode = asked.privacy_mode or PrivacyMode.NORMAL
    return await SessionRepository(tx, caller.project_id).add(user_id=user_id, profile_id=profile.id, privacy_mode=mode)


async def _describe(resources: Resources, caller: Caller, session: Session, persona: str | None, asked: Asked) -> Turn:
    options, mode = asked.options, PrivacyMode(session.privacy_mode)
    return Turn(
        id=uuid.uuid4(),
        project_id=caller.project_id,
        user_id=session.user_id,
        account_id=caller.account_id,
        session_id=session.id,
        profile_id=session.profile_id,
        mode=mode,
        persona=persona,
        summary=session.summary,
        content=asked.content,
        recent=await load_window(resources, caller.project_id, session, mode),
        options=ModelOptions(
            model=options.model,
            temperature=options.temperature,
            max_tokens=options.max_tokens or resources.values.answer_tokens,
            keep=promise_of(mode).provider_may_store,
        ),
        idempotency_key=asked.idempotency_key,
        confirm_forget=tuple(options.confirm_forget or ()),
    )


async def load_window(
    resources: Resources, project_id: UUID, session: Session, mode: PrivacyMode
) -> list[WindowMessage]:
    """What was said lately. Outside incognito, what was said in it is gone."""
    windows = windows_of(resources)
    recent = await windows.recent(session.id)
    if recent is None:
        recent = await _rebuild_window(resources, project_id, session)
        await windows.keep_recent(session.id, recent, active=False)
    recent = [message for message in recent if message.position > (session.summary_through or 0)]
    if mode is PrivacyMode.INCOGNITO:
        return recent + await windows.incognito(session.id)
    await windows.forget_incognito(session.id)
    return recent


async def _rebuild_window(resources: Resources, project_id: UUID, session: Session) -> list[WindowMessage]:
    async with resources.database.transaction(project_id, session.user_id) as tx:
        messages = await MessageRepository(tx, project_id, session.user_id).last(session.id, LOADED_MESSAGES)
    return [WindowMessage(message.role, message.content, message.position) for message in messages]
