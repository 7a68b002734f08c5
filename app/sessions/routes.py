"""/v1/sessions: the conversations of a user under a profile, each with a privacy mode."""

from typing import Annotated
from uuid import UUID

from fastapi import Query

from app.core.database.pagination import Cursor, Limit, Page, PageRows
from app.core.http.schemas import Done
from app.core.http.strict_requests import own_router
from app.core.resources import ResourcesDep
from app.identity.caller import Caller, SessionReader, SessionWriter
from app.identity.transaction import Transaction, caller_transaction
from app.profiles.repository import ProfileRepository
from app.sessions.models import Message, Session
from app.sessions.privacy import PrivacyMode
from app.sessions.repository import MessageRepository, SessionRepository
from app.sessions.schemas import (
    MessageRead,
    SessionCreate,
    SessionPatch,
    SessionRead,
    SessionReset,
    SessionSummary,
    UserId,
)
from app.sessions.window import window_store

router = own_router(prefix="/v1/sessions", tags=["Sessions"])
UserIdQuery = Annotated[
    UserId | None, Query(description="The user to act for. Defaults to yourself; required with an API key.")
]


def sessions_of(caller: Caller, tx: Transaction) -> SessionRepository:
    return SessionRepository(tx, caller.project_id, caller.user_id)


@router.post("", status_code=201, response_model=SessionRead)
async def create_session(body: SessionCreate, caller: SessionWriter, tx: Transaction) -> Session:
    """Creates a session, in the user's default profile unless `profile_id` names another."""
    user_id = caller.act_for(body.user_id)
    profile = await ProfileRepository(tx, caller.project_id).of_user(user_id, body.profile_id)
    return await sessions_of(caller, tx).add(
        user_id=user_id, profile_id=profile.id, privacy_mode=body.privacy_mode, title=body.title or None
    )


@router.get("", response_model=Page[SessionRead])
async def list_sessions(
    caller: SessionReader,
    tx: Transaction,
    user_id: UserIdQuery = None,
    profile_id: UUID | None = None,
    limit: Limit = 50,
    cursor: Cursor = None,
) -> PageRows[Session]:
    """Lists the sessions of a user, newest first."""
    mine = SessionRepository(tx, caller.project_id, caller.act_for(user_id))
    return await mine.page(limit, cursor, *([Session.profile_id == profile_id] if profile_id else []))


@router.get("/{session_id}", response_model=SessionRead)
async def get_session(session_id: UUID, caller: SessionReader, tx: Transaction) -> Session:
    """Returns one session."""
    return await sessions_of(caller, tx).get(session_id)


@router.patch("/{session_id}", response_model=SessionRead)
async def change_session(
    session_id: UUID, body: SessionPatch, caller: SessionWriter, resources: ResourcesDep
) -> Session:
    """Changes the title or the privacy mode. A new mode applies from the next message on.

    Leaving incognito deletes the messages that were sent in it."""
    changes = {name: value for name, value in body.model_dump(exclude_unset=True).items() if value is not None}
    async with caller_transaction(resources.database, caller) as tx:
        session = await sessions_of(caller, tx).update(session_id, **changes)
        await tx.refresh(session)
    if session.privacy_mode != PrivacyMode.INCOGNITO:
        await window_store(resources, caller.project_id).delete_incognito(session_id)
    return session


@router.delete("/{session_id}")
async def delete_session(session_id: UUID, caller: SessionWriter, resources: ResourcesDep) -> Done:
    """Deletes the session with its messages, and cancels pending extractions. Memories made from it stay."""
    async with caller_transaction(resources.database, caller) as tx:
        await sessions_of(caller, tx).delete(session_id)
    await window_store(resources, caller.project_id).delete(session_id)
    return Done(message="The session and its messages were deleted.")


@router.get("/{session_id}/messages", response_model=Page[MessageRead])
async def list_messages(
    session_id: UUID, caller: SessionReader, tx: Transaction, limit: Limit = 50, cursor: Cursor = None
) -> PageRows[Message]:
    """Lists the messages of a session, newest first. Messages in incognito are never stored, so they are not listed."""
    session = await sessions_of(caller, tx).get(session_id)
    messages = MessageRepository(tx, caller.project_id, session.user_id)
    return await messages.page(limit, cursor, Message.session_id == session_id)


@router.get("/{session_id}/summary")
async def summarize_session(
    session_id: UUID, caller: SessionReader, tx: Transaction, resources: ResourcesDep
) -> SessionSummary:
    """Returns counts of messages and tokens, and the summary of a long conversation."""
    sessions = sessions_of(caller, tx)
    session = await sessions.get(session_id)
    counts = await sessions.counts(session_id)
    window = await window_store(resources, caller.project_id).load(session_id, session.user_id) or []
    incognito = await window_store(resources, caller.project_id).load_incognito(session_id)
    return SessionSummary(
        session_id=session_id,
        privacy_mode=PrivacyMode(session.privacy_mode),
        title=session.title,
        messages=counts["messages"],
        messages_by_role={"user": counts["by_user"], "assistant": counts["by_assistant"]},
        prompt_tokens=counts["prompt_tokens"],
        completion_tokens=counts["completion_tokens"],
        first_message_at=counts["first_message_at"],
        last_message_at=counts["last_message_at"],
        summary=session.summary,
        short_term_messages=len(window) + len(incognito),
    )


@router.post("/{session_id}/reset")
async def reset_session(session_id: UUID, caller: SessionWriter, resources: ResourcesDep) -> SessionReset:
    """Deletes the messages, summary and title, and cancels pending extractions. Memories made from it stay."""
    async with caller_transaction(resources.database, caller) as tx:
        sessions = sessions_of(caller, tx)
        session = await sessions.get(session_id)
        session.summary, session.summary_through, session.title = None, None, None
        # A turn in progress loses the session, so that its answer is not stored.
        session.turn_id, session.turn_until = None, None
        await sessions.flush()
        await sessions.stop_extraction(session_id)
        deleted = await MessageRepository(tx, caller.project_id, session.user_id).clear(session_id)
    await window_store(resources, caller.project_id).delete(session_id)
    return SessionReset(deleted_messages=deleted)
