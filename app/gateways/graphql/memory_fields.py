"""Memories: lists, searches, history, and the writes. Each calls what the routes of mem0's API call."""

from typing import Annotated, Any
from uuid import UUID

import strawberry
from pydantic import BaseModel

from app.gateways.graphql.call import GraphqlCall
from app.gateways.graphql.types import field_of, input_type, list_of, object_type, output_type, read_input
from app.gateways.mem0.memories import routes
from app.gateways.mem0.memories.add import AddedThrough, add_memories
from app.gateways.mem0.memories.list import choose_page, list_memories
from app.gateways.mem0.memories.message_schemas import MessageText
from app.gateways.mem0.memories.message_schemas import Role as MessageRole
from app.gateways.mem0.memories.read import read_history, read_memory
from app.gateways.mem0.memories.render import MemoryRead, MemorySource, render_memory
from app.gateways.mem0.memories.schemas import (
    AddMemories,
    AddResponse,
    DeleteResponse,
    HistoryEntry,
    ListMemories,
    MemorySearchResult,
    MemoryUpdate,
    SearchMemories,
)
from app.gateways.mem0.memories.search import find_standing, search_memories
from app.gateways.mem0.memories.update import update_one
from app.gateways.mem0.responses import JsonObject
from app.identity.scopes import Scope
from app.memory import archive
from app.memory.edit import Owner
from app.memory.ledger import Door

Info = strawberry.Info[GraphqlCall, Any]


class AddMemoryMessage(BaseModel):
    role: MessageRole = "user"
    content: MessageText


IGNORED = {"org_id", "project_id", "structured_data_schema", "prompt_profile_id", "enable_graph", "keyword_search"}
IN_FILTERS = {"user_id", "agent_id", "app_id", "run_id"}
OWN_ARGUMENTS = {"fields", "page", "page_size", "query", "top_k"}
NOT_SHARED = frozenset(IGNORED | IN_FILTERS | OWN_ARGUMENTS)
"""Ids are conditions in `filters`, and the fields of the answer are those that a query names."""
MessageInput = input_type(AddMemoryMessage, "AddMemoryMessageInput")
AddInput = input_type(
    AddMemories,
    "AddMemoriesInput",
    frozenset(IGNORED),
    messages=list_of(MessageInput),
)
UpdateInput = input_type(MemoryUpdate, "UpdateMemoryInput", frozenset(IGNORED))
ListWhere = Annotated[
    Any, strawberry.argument(graphql_type=input_type(ListMemories, "MemoryFilter", NOT_SHARED) | None)
]
SearchWhere = Annotated[
    Any, strawberry.argument(graphql_type=input_type(SearchMemories, "SearchFilter", NOT_SHARED) | None)
]


# ---------------------------------------------------------------- reading


@field_of(
    list_of(output_type(HistoryEntry, "MemoryChange")),
    "The changes of the memory, oldest first.",
)
async def history(root: strawberry.Parent[Any], info: Info) -> list[JsonObject]:
    async with info.context.transaction(Scope.MEMORIES_READ) as tx:
        return await read_history(tx, info.context.caller, UUID(str(root["id"])))


@field_of(
    list_of(output_type(MemorySource)),
    "Where the memory was said, the first time and up to 50 times more.",
)
async def sources(root: strawberry.Parent[Any], info: Info) -> list[JsonObject]:
    if "sources" in root:
        return list(root["sources"])
    async with info.context.transaction(Scope.MEMORIES_READ) as tx:
        return list((await read_memory(tx, info.context.caller, UUID(str(root["id"]))))["sources"])


Memory = output_type(MemoryRead, "Memory", history=history, sources=sources)
MemoryPage = object_type("MemoryPage", {"count": int, "next_page": int | None, "results": list_of(Memory)})
FoundMemories = object_type(
    "FoundMemories",
    {
        "results": list_of(output_type(MemorySearchResult, "FoundMemory")),
        "answerable": bool,
        "by_meaning": bool,
        "standing": list_of(Memory) | None,
    },
)


@field_of(MemoryPage, "The memories that match the filters, newest first.")
async def memories(info: Info, where: ListWhere = None, page: int = 1, page_size: int = 50) -> JsonObject:
    async with info.context.allowed(Scope.MEMORIES_READ):
        request = read_input(ListMemories, where)
        requested = choose_page(request, page, page_size)
        listed = await list_memories(info.context.resources, info.context.caller, request, requested)
    next_page = page + 1 if page * page_size < listed.count else None
    return {"count": listed.count, "next_page": next_page, "results": listed.memories()}


@field_of(Memory, "One memory, also if it has expired or is archived.")
async def memory(info: Info, id: UUID) -> JsonObject:
    async with info.context.transaction(Scope.MEMORIES_READ) as tx:
        return await read_memory(tx, info.context.caller, id)


@field_of(FoundMemories, "Memories by meaning and by words, best match first.")
async def search(info: Info, query: str, where: SearchWhere = None, top_k: int = 10) -> JsonObject:
    async with info.context.allowed(Scope.MEMORIES_READ):
        resources, caller = info.context.resources, info.context.caller
        request = read_input(SearchMemories, where, query=query, top_k=top_k)
        found = await search_memories(resources, caller, request)
        return {**found._asdict(), **(await find_standing(resources, caller, request))}


# ---------------------------------------------------------------- writing


@field_of(
    output_type(AddResponse, "AddedMemories"),
    "Remembers a conversation: its facts in the background, or with `infer: false` verbatim, at once.",
    name="add_memories",
)
async def remember(info: Info, input: Annotated[Any, strawberry.argument(graphql_type=AddInput)]) -> JsonObject:
    async with info.context.allowed(Scope.MEMORIES_WRITE):
        request = read_input(AddMemories, input)
        return await add_memories(info.context.resources, info.context.caller, request, AddedThrough(Door.GRAPHQL))


@field_of(Memory, "Changes the fields that are sent.")
async def update_memory(
    info: Info, id: UUID, input: Annotated[Any, strawberry.argument(graphql_type=UpdateInput)]
) -> JsonObject:
    async with info.context.allowed(Scope.MEMORIES_WRITE):
        change = read_input(MemoryUpdate, input)
        return render_memory(await update_one(info.context.resources, info.context.caller, id, change))


@field_of(
    output_type(DeleteResponse, "DeletedMemory"),
    "Deletes one memory, and with `delete_linked` those that it replaced.",
)
async def delete_memory(info: Info, id: UUID, delete_linked: bool = False, restore_linked: bool = False) -> JsonObject:
    async with info.context.allowed(Scope.MEMORIES_WRITE, deletes=True):
        caller, resources = info.context.caller, info.context.resources
        deleted = await routes.delete_memory(str(id), caller, resources, delete_linked, restore_linked)
        return deleted.model_dump()


@field_of(Memory, "Takes a memory out of searches, recall and lists.")
async def archive_memory(info: Info, id: UUID) -> JsonObject:
    async with info.context.allowed(Scope.MEMORIES_WRITE):
        caller = info.context.caller
        owner = Owner(caller.project_id, caller.user_id)
        return render_memory(await archive.archive_memory(info.context.resources, owner, id))


@field_of(Memory, "Brings an archived or superseded memory back.")
async def restore_memory(info: Info, id: UUID) -> JsonObject:
    async with info.context.allowed(Scope.MEMORIES_WRITE):
        caller = info.context.caller
        owner = Owner(caller.project_id, caller.user_id)
        return render_memory(await archive.restore_memory(info.context.resources, owner, id))


MEMORY_QUERIES = (memories, memory, search)
MEMORY_MUTATIONS = (remember, update_memory, delete_memory, archive_memory, restore_memory)
