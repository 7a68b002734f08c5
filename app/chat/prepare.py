"""Everything of a turn that may fail with a status: it happens before the answer begins."""

import uuid
from contextlib import AsyncExitStack
from dataclasses import replace
from uuid import UUID

from sqlalchemy.ext.asyncio import AsyncSession

from app.chat.answered import find_answered, find_secretly_answered
from app.chat.asked import Asked, Turn
from app.chat.lease import LEASE_SECONDS, release
from app.chat.prompt import estimate_tokens
from app.chat.recent import load_window
from app.chat.usage import check_budget
from app.core.errors import BadRequest, Conflict, NotFound
from app.core.ports import ModelOptions
from app.core.resources import Resources
from app.identity.caller import Caller
from app.profiles.repository import ProfileRepository
from app.sessions.models import Session
from app.sessions.privacy import PrivacyMode, promise_of
from app.sessions.repository import MessageRepository, SessionRepository

EMPTY = 0
UNKNOWN = -1


async def prepare_turn(resources: Resources, caller: Caller, asked: Asked) -> Turn:
    if estimate_tokens(asked.content) > resources.values.context_tokens // 2:
        raise BadRequest("The message is longer than the model can read: send it in parts", code="message_too_long")
    user_id = await _find_user(resources, caller, asked)
    await resources.limits.admit_chat(f"{caller.project_id}:{user_id}")
    async with resources.database.transaction(caller.project_id, caller.user_id, caller.account_id) as tx:
        session = await _enter_session(tx, caller, user_id, asked)
        profile = await ProfileRepository(tx, caller.project_id, user_id).get(session.profile_id)
        turn = _describe(resources, caller, session, profile.persona, asked)
        turn, last = await _take(tx, turn)
    return turn if turn.answered else await _look_back(resources, turn, session, last)


async def _find_user(resources: Resources, caller: Caller, asked: Asked) -> str:
    if asked.session_id is None:
        return caller.act_for(asked.user_id)
    async with resources.database.transaction(caller.project_id, caller.user_id, caller.account_id) as tx:
        session = await SessionRepository(tx, caller.project_id, caller.user_id).get(asked.session_id)
    if asked.user_id is not None and asked.user_id != session.user_id:
        raise NotFound(f"There is no session {asked.session_id}")
    return session.user_id


async def _enter_session(tx: AsyncSession, caller: Caller, user_id: str, asked: Asked) -> Session:
    """The one named, in the mode asked for from this message on; or a new one."""
    if asked.session_id is None:
        session = await _open_session(tx, caller.project_id, user_id, asked)
    else:
        session = await SessionRepository(tx, caller.project_id, user_id).get(asked.session_id)
    if asked.profile_id is not None and asked.profile_id != session.profile_id:
        raise Conflict("This session belongs to another profile: leave `profile_id` out, or start another session")
    if asked.privacy_mode is not None and asked.privacy_mode != session.privacy_mode:
        session.privacy_mode = asked.privacy_mode
        await tx.flush()
    return session


async def _open_session(tx: AsyncSession, project_id: UUID, user_id: str, asked: Asked) -> Session:
    """A turn sent again with its key finds the session that its first try has made."""
    profile = await ProfileRepository(tx, project_id).of_user(user_id, asked.profile_id)
    key = asked.idempotency_key
    return await SessionRepository(tx, project_id, user_id).open(
        uuid.uuid5(project_id, f"{user_id}\n{key}") if key else uuid.uuid4(),
        user_id=user_id,
        profile_id=profile.id,
        privacy_mode=asked.privacy_mode or PrivacyMode.NORMAL,
    )


async def _take(tx: AsyncSession, turn: Turn) -> tuple[Turn, int]:
    """The turn as it was answered before, or else the session for it alone and where its transcript ends."""
    if answered := await find_answered(tx, turn):
        return replace(turn, answered=answered), UNKNOWN
    await check_budget(tx, turn.project_id)
    sessions = SessionRepository(tx, turn.project_id)
    last = await sessions.take_turn(turn.session_id, turn.id, LEASE_SECONDS)
    if turn.idempotency_key is None:
        return turn, last or EMPTY
    if answered := await find_answered(tx, turn):  # by a first try that has ended just now
        await sessions.end_turn(turn.session_id, turn.id)
        return replace(turn, answered=answered), UNKNOWN
    messages = MessageRepository(tx, turn.project_id)
    dropped = await messages.drop_interrupted(turn.session_id, turn.idempotency_key)
    return turn, UNKNOWN if dropped else last or EMPTY


async def _look_back(resources: Resources, turn: Turn, session: Session, last: int) -> Turn:
    async with AsyncExitStack() as stack:
        stack.push_async_callback(release, resources, turn)
        turn = replace(turn, recent=await load_window(resources, session, turn.mode, last))
        turn = replace(turn, answered=find_secretly_answered(turn))
        if turn.answered is None:
            stack.pop_all()  # from here on the turn itself holds the session
    return turn


def _describe(resources: Resources, caller: Caller, session: Session, persona: str | None, asked: Asked) -> Turn:
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
        options=ModelOptions(
            model=options.model,
            temperature=options.temperature,
            max_tokens=options.max_tokens or resources.values.answer_tokens,
            keep=promise_of(mode).provider_may_store,
        ),
        idempotency_key=asked.idempotency_key,
        confirm_forget=tuple(options.confirm_forget or ()),
    )
