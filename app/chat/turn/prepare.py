"""Everything of a turn that may fail with a status: it happens before the answer begins."""

import uuid
from contextlib import AsyncExitStack
from dataclasses import replace
from functools import partial
from uuid import UUID

from sqlalchemy.ext.asyncio import AsyncSession

from app.chat.prompt import estimate_tokens
from app.chat.turn.idempotency import answered_before, find_secretly_answered
from app.chat.turn.load_window import load_window
from app.chat.turn.session_lock import Ask, Standing, Taken, Wanted, look, release, take
from app.chat.types import Asked, Turn
from app.core.errors import BadRequest, Conflict, NotFound
from app.core.ports import ModelOptions
from app.core.resources import Resources
from app.identity.caller import Caller
from app.identity.transaction import caller_transaction
from app.profiles.repository import ProfileRepository
from app.sessions.privacy import PrivacyMode, promise_of
from app.sessions.repository import END_TURN, SessionRepository


async def prepare_turn(resources: Resources, caller: Caller, asked: Asked) -> Turn:
    if estimate_tokens(asked.content) > resources.values.context_tokens // 2:
        raise BadRequest("The message is longer than the model can read: send it in parts", code="message_too_long")
    if asked.session_id is not None:
        ask = partial(resources.database.at_once, caller.project_id, caller.user_id)
        entered = await _enter(resources, caller, asked, asked.session_id, ask)
    else:
        user_id = caller.act_for(asked.user_id)
        async with caller_transaction(resources.database, caller) as tx:
            session_id = await _open_session(tx, caller.project_id, user_id, asked)
            entered = await _enter(resources, caller, asked, session_id, partial(resources.database.together, tx))
    return entered if isinstance(entered, Turn) else await _look_back(resources, *entered)


async def _enter(
    resources: Resources, caller: Caller, asked: Asked, session_id: UUID, ask: Ask
) -> Turn | tuple[Turn, Standing, Taken]:
    """The session taken for this turn alone; or the turn as it was answered before."""
    wanted = Wanted(caller.project_id, caller.user_id, session_id, asked.idempotency_key)
    standing = await look(ask, wanted)
    _refuse_others(asked, session_id, standing)
    await resources.limits.admit_chat(f"{caller.project_id}:{standing.user_id}")
    turn = _describe(resources, caller, asked, session_id, standing)
    if answered := answered_before(turn, standing.before):
        return replace(turn, answered=answered)
    standing.budget.check()
    taken = await take(ask, wanted, turn.id, asked.privacy_mode)
    if not taken.answered:
        return turn, standing, taken
    standing = await look(ask, wanted)
    await ask((END_TURN, {"project_id": turn.project_id, "id": session_id, "turn": turn.id}))
    return replace(turn, answered=answered_before(turn, standing.before))


def _refuse_others(asked: Asked, session_id: UUID, standing: Standing) -> None:
    if asked.user_id is not None and asked.user_id != standing.user_id:
        raise NotFound(f"There is no session {session_id}")
    if asked.profile_id is not None and asked.profile_id != standing.profile_id:
        raise Conflict("This session belongs to another profile: leave `profile_id` out, or start another session")


async def _open_session(tx: AsyncSession, project_id: UUID, user_id: str, asked: Asked) -> UUID:
    """A turn sent again with its key finds the session that its first try has made."""
    profile = await ProfileRepository(tx, project_id).of_user(user_id, asked.profile_id)
    key = asked.idempotency_key
    session = await SessionRepository(tx, project_id, user_id).open(
        uuid.uuid5(project_id, f"{user_id}\n{key}") if key else uuid.uuid4(),
        user_id=user_id,
        profile_id=profile.id,
        privacy_mode=asked.privacy_mode or PrivacyMode.NORMAL,
    )
    return session.id


async def _look_back(resources: Resources, turn: Turn, standing: Standing, taken: Taken) -> Turn:
    async with AsyncExitStack() as stack:
        stack.push_async_callback(release, resources, turn)
        recent = await load_window(resources, turn, after=standing.summary_through, last=taken.last)
        turn = replace(turn, recent=recent)
        turn = replace(turn, answered=find_secretly_answered(turn))
        if turn.answered is None:
            stack.pop_all()  # from here on the turn itself holds the session
    return turn


def _describe(resources: Resources, caller: Caller, asked: Asked, session_id: UUID, standing: Standing) -> Turn:
    options, mode = asked.options, asked.privacy_mode or standing.mode
    return Turn(
        id=uuid.uuid4(),
        project_id=caller.project_id,
        user_id=standing.user_id,
        account_id=caller.account_id,
        session_id=session_id,
        profile_id=standing.profile_id,
        mode=mode,
        persona=standing.persona,
        summary=standing.summary,
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
