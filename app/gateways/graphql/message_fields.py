"""The conversation store: messages that applications keep. Each field calls the function of its own route."""

from typing import Annotated, Any
from uuid import UUID

import strawberry
from pydantic import BaseModel, Field

from app.core.database.pagination import Cursor, Limit
from app.core.ports import Role
from app.gateways.graphql.call import GraphqlCall
from app.gateways.graphql.memory_fields import Info
from app.gateways.graphql.types import field_of, input_type, list_of, object_type, output_type, page_type, read_input
from app.gateways.mem0.responses import JsonObject
from app.gateways.messages import routes
from app.gateways.messages.parameters import AsOf, MetadataText, QueryText, TenantId, WeightsText, read_filter
from app.gateways.messages.routes import TopK
from app.gateways.messages.schemas import MessageCreate, MessageFound, Name, StoredMessageRead
from app.identity.scopes import Scope
from app.memory.messages import MessageFilter

IdempotencyKey = Annotated[str | None, Field(min_length=1, max_length=255)]


class MessageWhere(BaseModel):
    tenant_id: TenantId = None
    conversation_id: Name | None = None
    user_id: Name | None = Field(None, description="Only messages of this user. Defaults to yourself with an account.")
    role: Role | None = None
    start_date: str | None = Field(None, max_length=40, description="Said at this time or later.")
    end_date: str | None = Field(None, max_length=40, description="Said at this time, or on this day, or earlier.")
    metadata: MetadataText = None
    importance_min: float | None = Field(None, ge=0, le=1, allow_inf_nan=False)

    def wanted(self, call: GraphqlCall) -> MessageFilter:
        return read_filter(call.caller, **self.model_dump(include=CONDITIONS))


CONDITIONS = set(MessageWhere.model_fields) - {"tenant_id"}


class MessageList(MessageWhere):
    show_archived: bool = Field(False, description="List archived messages, too.")
    limit: Limit = 50
    cursor: Cursor = None


class MessageQuestion(MessageWhere):
    query: QueryText
    top_k: TopK = 10
    weights: WeightsText = None
    as_of: AsOf = None


class MessageAddress(BaseModel):
    id: UUID
    tenant_id: TenantId = None


class StoreOptions(BaseModel):
    wait: bool = False
    idempotency_key: IdempotencyKey = None


Where = Annotated[
    Any,
    strawberry.argument(graphql_type=input_type(MessageList, "MessageFilter", frozenset({"limit", "cursor"})) | None),
]
QuestionWhere = Annotated[
    Any,
    strawberry.argument(
        graphql_type=input_type(MessageQuestion, "MessageSearchFilter", frozenset({"query", "top_k"})) | None
    ),
]
MessageInput = Annotated[Any, strawberry.argument(graphql_type=input_type(MessageCreate, "StoreMessageInput"))]
Message = output_type(StoredMessageRead, "Message")
FoundMessages = object_type(
    "FoundMessages",
    {"results": list_of(output_type(MessageFound, "FoundMessage")), "by_meaning": bool},
)


@field_of(page_type("MessagePage", Message), "Stored messages, newest first.")
async def messages(info: Info, where: Where = None, limit: int = 50, cursor: str | None = None) -> JsonObject:
    given = read_input(MessageList, where, limit=limit, cursor=cursor)
    call = info.context
    async with call.allowed(Scope.MEMORIES_READ):
        page = await routes.list_stored_messages(
            call.caller,
            call.resources,
            given.wanted(call),
            given.tenant_id,
            show_archived=given.show_archived,
            limit=given.limit,
            cursor=given.cursor,
        )
        return page.model_dump()


@field_of(Message, "One stored message.")
async def message(info: Info, id: UUID, tenant_id: str | None = None) -> JsonObject:
    given = read_input(MessageAddress, None, id=id, tenant_id=tenant_id)
    async with info.context.allowed(Scope.MEMORIES_READ):
        found = await routes.get_stored_message(given.id, info.context.caller, info.context.resources, given.tenant_id)
        return found.model_dump()


@field_of(FoundMessages, "Stored messages by meaning, words, importance and age.")
async def search_messages(info: Info, query: str, where: QuestionWhere = None, top_k: int = 10) -> JsonObject:
    given = read_input(MessageQuestion, where, query=query, top_k=top_k)
    call = info.context
    async with call.allowed(Scope.MEMORIES_READ):
        found = await routes.search_stored_messages(
            call.caller,
            call.resources,
            given.wanted(call),
            given.query,
            given.top_k,
            given.tenant_id,
            given.weights,
            given.as_of,
        )
        return found.model_dump()


@field_of(Message, "Stores a message. It is found by its words at once.")
async def store_message(
    info: Info, input: MessageInput, wait: bool = False, idempotency_key: str | None = None
) -> JsonObject:
    body = read_input(MessageCreate, input)
    options = read_input(StoreOptions, None, wait=wait, idempotency_key=idempotency_key)
    async with info.context.allowed(Scope.MEMORIES_WRITE):
        stored = await routes.store_message(
            body, info.context.caller, info.context.resources, options.wait, options.idempotency_key
        )
        return stored.model_dump()


MESSAGE_QUERIES = (messages, message, search_messages)
MESSAGE_MUTATIONS = (store_message,)
