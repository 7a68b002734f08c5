"""Validation and locking that must happen before the response starts to stream."""

import uuid
from collections.abc import Sequence
from contextlib import AsyncExitStack
from functools import partial
from uuid import UUID

from sqlalchemy.ext.asyncio import AsyncSession

from app.chat.prompt import estimate_tokens
from app.chat.schemas import TurnOptions
from app.chat.turn.session_lock import EnteredSession, TurnKey, check_fingerprint, enter_session, turn_key
from app.chat.types import Answered, ConfirmedForgetting, Prepared, PreviousAnswer, TurnInput
from app.core.config import Config
from app.core.errors import BadRequest
from app.core.ports import ModelOptions
from app.core.resources import Resources
from app.core.text.privacy_wishes import is_off_the_record
from app.identity.caller import Caller
from app.identity.transaction import caller_transaction
from app.memory.namespace import Namespace
from app.profiles.repository import ProfileRepository
from app.sessions.privacy import PrivacyMode, policy_of
from app.sessions.repository import MessageRepository, SessionRepository
from app.sessions.window import WindowMessage, window_store

LOADED_MESSAGES = 60


async def prepare(resources: Resources, caller: Caller, request: TurnInput) -> Prepared | Answered:
    database = resources.database
    check_options(resources.config, request.options)
    check_length(resources.config, request.content)
    if request.session_id is not None:
        key = turn_key(caller.project_id, caller.user_id, request.session_id, request)
        run_pipeline = partial(database.pipeline, caller.project_id, caller.user_id)
        entered = await enter_session(resources, run_pipeline, key, request)
    else:
        user_id = caller.act_for(request.user_id)
        async with caller_transaction(database, caller) as tx:
            session_id = await _open_session(tx, caller.project_id, user_id, request)
            key = turn_key(caller.project_id, caller.user_id, session_id, request)
            entered = await enter_session(resources, partial(database.pipeline_in, tx), key, request)
    return await _load(resources, caller, request, entered)


def check_options(config: Config, options: TurnOptions) -> None:
    """The operator pays for the model, and decides which ones a request may choose and how long an answer may be."""
    if options.model is not None and config.allowed_models is not None and options.model not in config.allowed_models:
        allowed = ", ".join(sorted(config.allowed_models))
        raise BadRequest(f"This server does not allow that model. Allowed: {allowed}.", code="model_not_allowed")
    if options.max_tokens is not None and options.max_tokens > config.max_tokens:
        raise BadRequest(
            f"`max_tokens` is larger than this server allows. Send at most {config.max_tokens}.",
            code="max_tokens_too_large",
        )


def check_length(config: Config, message: str) -> None:
    if estimate_tokens(message) > config.context_tokens // 2:
        raise BadRequest("The message is longer than the model can read. Send it in parts.", code="message_too_long")


async def _open_session(tx: AsyncSession, project_id: UUID, user_id: str, request: TurnInput) -> UUID:
    """The id follows from the Idempotency-Key: a repeated request finds the session of the first one."""
    profile = await ProfileRepository(tx, project_id).of_user(user_id, request.profile_id)
    key = request.idempotency_key
    session = await SessionRepository(tx, project_id, user_id).open(
        uuid.uuid5(project_id, f"{user_id}\n{key}") if key else uuid.uuid4(),
        user_id=user_id,
        profile_id=profile.id,
        privacy_mode=request.privacy_mode or PrivacyMode.NORMAL,
    )
    return session.id


async def _load(
    resources: Resources, caller: Caller, request: TurnInput, entered: EnteredSession
) -> Prepared | Answered:
    """Load the window, and release the session if that fails or finds that the turn was answered before."""
    off_the_record = is_off_the_record(request.content)
    mode = PrivacyMode.INCOGNITO if off_the_record else request.privacy_mode or entered.state.mode
    if entered.state.previous is not None:
        return _repeat(request, entered, mode, entered.state.previous)
    async with AsyncExitStack() as stack:
        stack.push_async_callback(_release, resources, caller, entered)
        recent = await _load_window(resources, entered, mode)
        if previous := _find_in_window(entered.key, recent):
            return _repeat(request, entered, mode, previous)
        stack.pop_all()  # from here on the turn itself releases the session
    key, state, options, policy = entered.key, entered.state, request.options, policy_of(mode)
    return Prepared(
        id=key.turn_id,
        session_id=key.session_id,
        account_id=caller.account_id,
        namespace=Namespace(key.project_id, state.user_id, state.profile_id),
        mode=mode,
        policy=policy,
        persona=state.persona,
        summary=state.summary,
        standing=state.standing if policy.reads_memories else (),
        user_profile=state.user_profile if policy.reads_memories else None,
        content=request.content,
        options=ModelOptions(
            model=options.model,
            temperature=options.temperature,
            max_tokens=options.max_tokens or resources.config.answer_tokens,
            keep=policy.provider_may_store,
        ),
        recent=recent,
        confirmed=ConfirmedForgetting.of(options),
        idempotency_key=request.idempotency_key,
        fingerprint=key.fingerprint,
        door=request.door,
        off_the_record=off_the_record,
    )


def _repeat(request: TurnInput, entered: EnteredSession, mode: PrivacyMode, previous: PreviousAnswer) -> Answered:
    key, state = entered.key, entered.state
    namespace = Namespace(key.project_id, state.user_id, state.profile_id)
    standing = state.standing if policy_of(mode).reads_memories else ()
    return Answered(key.session_id, namespace, mode, request.content, standing, previous)


async def _release(resources: Resources, caller: Caller, entered: EnteredSession) -> None:
    key, user_id = entered.key, entered.state.user_id
    async with resources.database.transaction(key.project_id, user_id, caller.account_id) as tx:
        await SessionRepository(tx, key.project_id).end_turn(key.session_id, key.turn_id)


async def _load_window(resources: Resources, entered: EnteredSession, mode: PrivacyMode) -> list[WindowMessage]:
    """The messages after the summary: from short-term memory if that is up to date, else from the transcript.

    Outside incognito, what was said in incognito is deleted."""
    store, session_id = window_store(resources, entered.key.project_id), entered.key.session_id
    recent = await store.load(session_id, entered.state.user_id)
    await store.record_activity(entered.state.user_id)
    if recent is None or (recent[-1].position if recent else 0) != entered.last_position:
        recent = await _read_transcript(resources, entered)
        await store.save(session_id, recent, active=False)
    recent = [message for message in recent if message.position > entered.state.summary_through]
    if mode is PrivacyMode.INCOGNITO:
        return recent + await store.load_incognito(session_id)
    await store.delete_incognito(session_id)
    return recent


async def _read_transcript(resources: Resources, entered: EnteredSession) -> list[WindowMessage]:
    project_id, user_id = entered.key.project_id, entered.state.user_id
    async with resources.database.transaction(project_id, user_id) as tx:
        messages = MessageRepository(tx, project_id, user_id)
        latest = await messages.load_latest(entered.key.session_id, LOADED_MESSAGES)
    return [WindowMessage.of(message) for message in latest]


def _find_in_window(key: TurnKey, recent: Sequence[WindowMessage]) -> PreviousAnswer | None:
    """In incognito, an Idempotency-Key is known only as long as the window of its session."""
    for message in recent:
        idempotency_key, _, fingerprint = message.key.rpartition(":")
        if key.idempotency_key is not None and idempotency_key == key.idempotency_key:
            previous = PreviousAnswer(bytes.fromhex(fingerprint), None, None, message.content)
            check_fingerprint(key, previous)
            return previous
    return None
