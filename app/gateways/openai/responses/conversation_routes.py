"""/v1/conversations: sessions as OpenAI's conversations."""

from collections.abc import Mapping
from typing import Annotated, Any, Literal
from uuid import UUID

from fastapi import APIRouter, Query, Request
from pydantic import TypeAdapter, ValidationError
from sqlalchemy.ext.asyncio import AsyncSession

from app.core.completion_messages import message_text
from app.core.errors import BadRequest, NotFound
from app.core.http.error_responses import describe_invalid_value
from app.core.resources import Resources, ResourcesDep
from app.core.text.privacy_wishes import is_off_the_record
from app.gateways.openai.address import read_address
from app.gateways.openai.responses.render import (
    CONVERSATION,
    MESSAGE,
    item_list,
    read_id,
    render_conversation,
    stored_item,
    write_id,
)
from app.gateways.openai.responses.schemas import ConversationCreate, ConversationPatch, ItemsCreate
from app.gateways.openai.responses.translate import read_input
from app.identity.caller import Caller, SessionReader, SessionWriter
from app.identity.transaction import Transaction, caller_transaction
from app.memory.extraction import leave_out_exchanges
from app.profiles.repository import ProfileRepository
from app.sessions.models import Message, Session
from app.sessions.privacy import PrivacyMode
from app.sessions.repository import MessageRepository, SessionRepository
from app.sessions.schemas import SessionPatch
from app.sessions.window import window_store

router = APIRouter(prefix="/v1/conversations", tags=["OpenAI"])
PATCH: TypeAdapter[SessionPatch] = TypeAdapter(SessionPatch)
CHANGEABLE = ("title", "privacy_mode")
FIXED = ("user_id", "profile_id")
STORED_ROLES = ("user", "assistant", "system")


def read_patch(metadata: Mapping[str, Any], *, fixed: tuple[str, ...] = ()) -> dict[str, Any]:
    """A session has no other metadata: what would not be stored is refused."""
    known = (*fixed, *CHANGEABLE)
    if unknown := metadata.keys() - set(known):
        raise BadRequest(
            f"`metadata` of a conversation cannot have `{min(unknown)[:60]}`. It can have {', '.join(known)}.",
            code="invalid_request",
        )
    try:
        patch = PATCH.validate_python({name: metadata[name] for name in CHANGEABLE if name in metadata})
    except ValidationError as error:
        raise BadRequest(describe_invalid_value(error.errors()[0]), code="invalid_request") from None
    return {name: value for name, value in patch.model_dump(exclude_unset=True).items() if value is not None}


def sessions_of(tx: AsyncSession, caller: Caller) -> SessionRepository:
    return SessionRepository(tx, caller.project_id, caller.user_id)


async def find_conversation(tx: AsyncSession, caller: Caller, conversation_id: str) -> Session:
    return await sessions_of(tx, caller).get(read_id(CONVERSATION, conversation_id))


async def append_items(
    tx: AsyncSession, caller: Caller, session: Session, items: list[dict[str, Any]]
) -> list[Message]:
    """Items that are added are part of the transcript. Nothing is remembered from them.

    Those off the record, and the answers to them, are not stored, as in a chat."""
    if session.privacy_mode == PrivacyMode.INCOGNITO:
        raise BadRequest("This conversation is in incognito, so no items are stored in it.")
    repository, mode = MessageRepository(tx, caller.project_id), PrivacyMode(session.privacy_mode)
    messages = [{"role": each["role"], "content": message_text(each)} for each in read_input(items)]
    if any(each["role"] not in STORED_ROLES or not each["content"] for each in messages):
        raise BadRequest("`items` can only be messages of `user`, `assistant` or `system` with text.")
    stored = leave_out_exchanges(messages, lambda each: is_off_the_record(each["content"]))
    return [await repository.append(session, each["role"], each["content"], mode=mode) for each in stored]


async def drop_window(resources: Resources, caller: Caller, session_id: UUID) -> None:
    """The next turn reads the transcript again."""
    await window_store(resources, caller.project_id).delete(session_id)


@router.post("")
async def create_conversation(
    body: ConversationCreate, request: Request, caller: SessionWriter, tx: Transaction
) -> dict[str, Any]:
    """Creates a session, in the default profile of the user unless another one is named."""
    metadata = body.metadata or {}
    changes = read_patch(metadata, fixed=FIXED)
    address = read_address(request, None, metadata, store=None)
    user_id = caller.act_for(address.user_id)
    profile = await ProfileRepository(tx, caller.project_id).of_user(user_id, address.profile_id)
    mode = address.privacy_mode or PrivacyMode.NORMAL
    session = await sessions_of(tx, caller).add(
        user_id=user_id, profile_id=profile.id, privacy_mode=mode, title=changes.get("title") or None
    )
    if body.items:
        await append_items(tx, caller, session, body.items)
    return render_conversation(session)


@router.get("/{conversation_id}")
async def get_conversation(conversation_id: str, caller: SessionReader, tx: Transaction) -> dict[str, Any]:
    """Returns one session."""
    return render_conversation(await find_conversation(tx, caller, conversation_id))


@router.post("/{conversation_id}")
async def change_conversation(
    conversation_id: str, body: ConversationPatch, caller: SessionWriter, resources: ResourcesDep
) -> dict[str, Any]:
    """Changes the title or the privacy mode."""
    changes = read_patch(body.metadata)
    async with caller_transaction(resources.database, caller) as tx:
        session = await sessions_of(tx, caller).update(read_id(CONVERSATION, conversation_id), **changes)
        await tx.refresh(session)
    if session.privacy_mode != PrivacyMode.INCOGNITO:
        await window_store(resources, caller.project_id).delete_incognito(session.id)
    return render_conversation(session)


@router.delete("/{conversation_id}")
async def delete_conversation(conversation_id: str, caller: SessionWriter, resources: ResourcesDep) -> dict[str, Any]:
    """Deletes the session with its messages. Memories made from it stay."""
    session_id = read_id(CONVERSATION, conversation_id)
    async with caller_transaction(resources.database, caller) as tx:
        await sessions_of(tx, caller).delete(session_id)
    await drop_window(resources, caller, session_id)
    return {"id": write_id(CONVERSATION, session_id), "object": "conversation.deleted", "deleted": True}


@router.get("/{conversation_id}/items")
async def list_conversation_items(
    conversation_id: str,
    caller: SessionReader,
    tx: Transaction,
    limit: Annotated[int, Query(ge=1, le=100)] = 20,
    order: Literal["asc", "desc"] = "desc",
    after: str | None = None,
) -> dict[str, Any]:
    """Lists the messages of a session, newest first unless `order` is `asc`."""
    session = await find_conversation(tx, caller, conversation_id)
    query = MessageRepository(tx, caller.project_id, session.user_id).rows.where(Message.session_id == session.id)
    if after is not None:
        last = await find_item(tx, caller, session, after)
        query = query.where(Message.position > last.position if order == "asc" else Message.position < last.position)
    ordered = query.order_by(Message.position if order == "asc" else Message.position.desc())
    found = list(await tx.scalars(ordered.limit(limit + 1)))
    return item_list([stored_item(each) for each in found[:limit]], has_more=len(found) > limit)


@router.post("/{conversation_id}/items")
async def create_conversation_items(
    conversation_id: str, body: ItemsCreate, caller: SessionWriter, resources: ResourcesDep
) -> dict[str, Any]:
    """Adds messages to the transcript."""
    async with caller_transaction(resources.database, caller) as tx:
        session = await find_conversation(tx, caller, conversation_id)
        items = [stored_item(each) for each in await append_items(tx, caller, session, body.items)]
    await drop_window(resources, caller, session.id)
    return item_list(items)


@router.get("/{conversation_id}/items/{item_id}")
async def get_conversation_item(
    conversation_id: str, item_id: str, caller: SessionReader, tx: Transaction
) -> dict[str, Any]:
    """Returns one message."""
    session = await find_conversation(tx, caller, conversation_id)
    return stored_item(await find_item(tx, caller, session, item_id))


@router.delete("/{conversation_id}/items/{item_id}")
async def delete_conversation_item(
    conversation_id: str, item_id: str, caller: SessionWriter, resources: ResourcesDep
) -> dict[str, Any]:
    """Deletes one message. Memories made from it stay."""
    async with caller_transaction(resources.database, caller) as tx:
        session = await find_conversation(tx, caller, conversation_id)
        await tx.delete(await find_item(tx, caller, session, item_id))
    await drop_window(resources, caller, session.id)
    return render_conversation(session)


async def find_item(tx: AsyncSession, caller: Caller, session: Session, item_id: str) -> Message:
    message = await MessageRepository(tx, caller.project_id, session.user_id).find(read_id(MESSAGE, item_id))
    if message is None or message.session_id != session.id:
        raise NotFound(f"This conversation has no item {item_id[:80]}.")
    return message
