"""/v1/messages and /v1/memory/search: store messages, and find them by meaning, words, importance and age."""

from typing import Annotated
from uuid import UUID

from fastapi import Header, Query

from app.core.database.pagination import Cursor, Limit, Page
from app.core.http.schemas import Done
from app.core.http.strict_requests import own_router
from app.core.resources import Resources, ResourcesDep
from app.gateways.messages.batch import store_batch
from app.gateways.messages.parameters import (
    AsOf,
    QueryText,
    TenantId,
    WantedMessages,
    WeightsText,
    read_moment,
    read_weights,
)
from app.gateways.messages.requests import as_draft, owner_of
from app.gateways.messages.schemas import (
    BatchResults,
    MessageBatch,
    MessageCreate,
    MessageFound,
    MessagesFound,
    StoredMessageRead,
)
from app.identity.caller import MemoryReader, MemoryWriter
from app.memory.messages import (
    MessageSearch,
    StoredMessage,
    archive_message,
    delete_messages,
    list_messages,
    load_message,
    restore_message,
    search_messages,
    store_messages,
    store_once,
)

router = own_router(tags=["Messages"])
IdempotencyKey = Annotated[
    str | None,
    Header(min_length=1, max_length=255, description="A repeated request with the same key stores nothing twice."),
]
Wait = Annotated[bool, Query(description="Respond once the message can be found by its meaning, too, if possible.")]
ShowArchived = Annotated[bool, Query(description="List archived messages, too.")]
TopK = Annotated[int, Query(ge=1, le=200, description="The maximum number of results.")]


@router.post("/v1/messages", status_code=201)
async def store_message(
    body: MessageCreate,
    caller: MemoryWriter,
    resources: ResourcesDep,
    wait: Wait = False,
    idempotency_key: IdempotencyKey = None,
) -> StoredMessageRead:
    """Stores a message. It is found by its words at once, and by its meaning once it is embedded.

    If embedding fails, the message is stored all the same, found by its words, and embedded later."""
    draft = as_draft(resources, caller, body, idempotency_key)
    store = store_once if idempotency_key else store_messages
    (stored,) = await store(resources, owner_of(caller), [draft], wait=wait)
    return _render(resources, stored)


@router.post("/v1/messages/batch")
async def store_message_batch(
    body: MessageBatch,
    caller: MemoryWriter,
    resources: ResourcesDep,
    wait: Wait = False,
    idempotency_key: IdempotencyKey = None,
) -> BatchResults:
    """Stores up to 1,000 messages. Each has a result of its own: one that is refused does not affect the others."""
    return await store_batch(resources, caller, body, idempotency_key, wait=wait)


@router.get("/v1/messages")
async def list_stored_messages(
    caller: MemoryReader,
    resources: ResourcesDep,
    wanted: WantedMessages,
    tenant_id: TenantId = None,
    show_archived: ShowArchived = False,
    limit: Limit = 50,
    cursor: Cursor = None,
) -> Page[StoredMessageRead]:
    """Lists messages, newest first."""
    page = await list_messages(
        resources, owner_of(caller), tenant_id, wanted, show_archived=show_archived, limit=limit, cursor=cursor
    )
    return Page(results=[_render(resources, each) for each in page.results], next=page.next)


@router.get("/v1/messages/{message_id}")
async def get_stored_message(
    message_id: UUID, caller: MemoryReader, resources: ResourcesDep, tenant_id: TenantId = None
) -> StoredMessageRead:
    """Returns one message. A message of a tenant is found with its `tenant_id` only."""
    return _render(resources, await load_message(resources, owner_of(caller), tenant_id, message_id))


@router.post("/v1/messages/{message_id}/archive")
async def archive_stored_message(
    message_id: UUID, caller: MemoryWriter, resources: ResourcesDep, tenant_id: TenantId = None
) -> StoredMessageRead:
    """Takes a message out of lists and searches. It can still be read by its id, and restored."""
    return _render(resources, await archive_message(resources, owner_of(caller), tenant_id, message_id))


@router.post("/v1/messages/{message_id}/restore")
async def restore_stored_message(
    message_id: UUID, caller: MemoryWriter, resources: ResourcesDep, tenant_id: TenantId = None
) -> StoredMessageRead:
    """Brings an archived message back into lists and searches."""
    return _render(resources, await restore_message(resources, owner_of(caller), tenant_id, message_id))


@router.delete("/v1/messages/{message_id}")
async def delete_stored_message(
    message_id: UUID, caller: MemoryWriter, resources: ResourcesDep, tenant_id: TenantId = None
) -> Done:
    """Deletes one message. A message of a tenant is found with its `tenant_id` only."""
    await delete_messages(resources, owner_of(caller), tenant_id, [message_id])
    return Done(message="The message was deleted.")


@router.get("/v1/memory/search")
async def search_stored_messages(
    caller: MemoryReader,
    resources: ResourcesDep,
    wanted: WantedMessages,
    query: QueryText,
    top_k: TopK = 10,
    tenant_id: TenantId = None,
    weights: WeightsText = None,
    as_of: AsOf = None,
) -> MessagesFound:
    """Finds messages by meaning and by words, best match first.

    The score is 60 % similarity, 30 % importance and 10 % recency, unless `weights` says otherwise."""
    moment = read_moment(as_of, "as_of", end=True)
    search = MessageSearch(query, tenant_id, top_k, wanted, read_weights(weights), as_of=moment)
    found = await search_messages(resources, owner_of(caller), search)
    return MessagesFound(results=[MessageFound.of_found(each) for each in found.results], by_meaning=found.by_meaning)


def _render(resources: Resources, message: StoredMessage) -> StoredMessageRead:
    return StoredMessageRead.of(message, resources.config.recency_half_life_days)
