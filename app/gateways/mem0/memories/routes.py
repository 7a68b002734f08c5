"""/v3/memories/, /v1/memories/{id}/ and related routes of mem0's Platform API, which is the API for memories here."""

from typing import Annotated

from fastapi import APIRouter, Query, Request

from app.core.errors import BadRequest
from app.core.resources import ResourcesDep
from app.gateways.mem0.errors import ERROR_RESPONSES, Mem0Route
from app.gateways.mem0.memories.add import add_memories
from app.gateways.mem0.memories.delete import delete_one, delete_scope, read_deletion_scope
from app.gateways.mem0.memories.list import choose_page, list_memories, select_fields
from app.gateways.mem0.memories.read import read_history, read_memory, read_stats, summarize
from app.gateways.mem0.memories.render import MemoryRead, OneMemory, render_memory
from app.gateways.mem0.memories.schemas import (
    AddMemories,
    AddResponse,
    DeleteAllQuery,
    DeleteResponse,
    EventAccepted,
    FeedbackCreate,
    FeedbackRead,
    HistoryEntry,
    ListMemories,
    MemoryPage,
    MemoryUpdate,
    PingResponse,
    ProjectReference,
    ProjectStats,
    SearchMemories,
    SearchResults,
    SummaryRead,
    SummaryRequest,
)
from app.gateways.mem0.memories.search import find_standing, search_memories
from app.gateways.mem0.memories.update import update_one
from app.gateways.mem0.project_check import check_project_matches, parse_memory_id
from app.gateways.mem0.responses import FastJson, page_of_json
from app.identity.caller import CallerDep, MemoryReader, MemoryWriter
from app.identity.transaction import Transaction
from app.memory.archive import restore_replaced
from app.memory.edit import Owner
from app.memory.ledger import FeedbackRepository

router = APIRouter(tags=["Memories"], responses=ERROR_RESPONSES, route_class=Mem0Route)
PageNumber = Annotated[int | None, Query(description="Takes precedence over the body.")]


@router.post(
    "/v3/memories/search/",
    responses={200: {"model": SearchResults}},
    response_class=FastJson,
    operation_id="search_memories",
)
async def search(body: SearchMemories, caller: MemoryReader, resources: ResourcesDep) -> FastJson:
    """Finds memories by meaning and by keywords, best match first."""
    found = await search_memories(resources, caller, body)
    return FastJson({**found._asdict(), **(await find_standing(resources, caller, body))})


@router.get("/v1/ping/")
async def ping(caller: CallerDep, org_id: str | None = None, project_id: str | None = None) -> PingResponse:
    """Checks that the credential is valid, and returns its organization and project."""
    check_project_matches(caller, ProjectReference(org_id=org_id, project_id=project_id))
    # mem0's tools refuse to run without an address. It never receives mail: RFC 2606 reserves the domain.
    address = caller.email or f"project-{caller.project_id}@keepsake.invalid"
    return PingResponse(org_id=str(caller.organization_id), project_id=str(caller.project_id), user_email=address)


@router.post(
    "/v3/memories/add/", responses={200: {"model": AddResponse}}, response_class=FastJson, operation_id="add_memories"
)
async def add(body: AddMemories, caller: MemoryWriter, resources: ResourcesDep) -> FastJson:
    """Remembers a conversation.

    With `infer: true` (the default) the status is PENDING: facts are extracted in the background, and the event shows
    the result. With `infer: false` every message is stored verbatim before the response.
    """
    return FastJson(await add_memories(resources, caller, body))


@router.post(
    "/v3/memories/", responses={200: {"model": MemoryPage}}, response_class=FastJson, operation_id="list_memories"
)
async def list_page(
    request: Request,
    body: ListMemories,
    caller: MemoryReader,
    resources: ResourcesDep,
    page: PageNumber = None,
    page_size: PageNumber = None,
) -> FastJson:
    """Lists the memories that match the filters, newest first.

    Searches the default profile of each user, unless `profile_id` names another one or is `*`.
    """
    requested = choose_page(body, page, page_size)
    listed = await list_memories(resources, caller, body, requested)
    results = select_fields(listed, body.fields)
    return FastJson(page_of_json(request, requested.page, requested.size, listed.count, results))


@router.delete("/v1/memories/")
async def delete_all_memories(
    request: Request, caller: MemoryWriter, resources: ResourcesDep, query: Annotated[DeleteAllQuery, Query()]
) -> EventAccepted:
    """Deletes the memories that meet all conditions.

    A request without a condition, or with one that cannot be read, is refused and deletes nothing. `*` for all four
    ids deletes every memory of the project.
    """
    check_project_matches(caller, query)
    event_id = await delete_scope(resources, caller, read_deletion_scope(request, query.profile_id))
    return EventAccepted(message="Memories deleted successfully!", event_id=event_id)


@router.get(
    "/v1/memories/{memory_id}/history/", responses={200: {"model": list[HistoryEntry]}}, response_class=FastJson
)
async def get_memory_history(memory_id: str, caller: MemoryReader, tx: Transaction) -> FastJson:
    """Lists the changes of one memory, oldest first. The history of a deleted memory contains none of its words."""
    return FastJson(await read_history(tx, caller, parse_memory_id(memory_id)))


@router.get("/v1/memories/{memory_id}/", responses={200: {"model": OneMemory}}, response_class=FastJson)
async def get_memory(memory_id: str, caller: MemoryReader, tx: Transaction) -> FastJson:
    """Returns one memory, also if it has expired, and its sources."""
    return FastJson(await read_memory(tx, caller, parse_memory_id(memory_id)))


@router.put("/v1/memories/{memory_id:path}/", responses={200: {"model": MemoryRead}}, response_class=FastJson)
async def update_memory(memory_id: str, body: MemoryUpdate, caller: MemoryWriter, resources: ResourcesDep) -> FastJson:
    """Updates the fields that are sent. `expiration_date: null` removes the expiration date."""
    check_project_matches(caller, body)
    return FastJson(render_memory(await update_one(resources, caller, parse_memory_id(memory_id), body)))


@router.delete("/v1/memories/{memory_id:path}/", response_model_exclude_none=True)
async def delete_memory(
    memory_id: str,
    caller: MemoryWriter,
    resources: ResourcesDep,
    delete_linked: bool = False,
    restore_linked: bool = False,
) -> DeleteResponse:
    """Deletes one memory. The older memories that it had replaced stay superseded.

    `delete_linked` deletes them, too, and `restore_linked` restores those that it replaced directly."""
    wanted = parse_memory_id(memory_id)
    if delete_linked and restore_linked:
        raise BadRequest("Send only one of `delete_linked` and `restore_linked`")
    owner = Owner(caller.project_id, caller.user_id)
    restored = await restore_replaced(resources, owner, wanted) if restore_linked else []
    linked = await delete_one(resources, caller, wanted, linked=delete_linked)
    return DeleteResponse(
        message="Memory deleted successfully!",
        cascade_count=linked if delete_linked else None,
        restored_count=len(restored) if restore_linked else None,
    )


@router.post("/v1/feedback/")
async def give_feedback(body: FeedbackCreate, caller: MemoryWriter, tx: Transaction) -> FeedbackRead:
    """Rates a memory. Each memory has one rating; null removes it."""
    check_project_matches(caller, body)
    memory_id = parse_memory_id(body.memory_id)
    feedback = FeedbackRepository(tx, caller.project_id, caller.user_id)
    if body.feedback is None:
        await feedback.remove(memory_id)
        return FeedbackRead(id=None, feedback=None, feedback_reason=None)
    feedback_id = await feedback.put(memory_id, body.feedback, body.feedback_reason)
    return FeedbackRead(id=feedback_id, feedback=body.feedback, feedback_reason=body.feedback_reason)


@router.post("/v1/summary/")
async def get_memory_summary(
    caller: MemoryReader, resources: ResourcesDep, body: SummaryRequest | None = None
) -> SummaryRead:
    """Returns the newest memories in one text, and the number of memories in each category."""
    return await summarize(resources, caller, body or SummaryRequest())


@router.get("/v1/stats/")
async def get_project_stats(caller: MemoryReader, tx: Transaction, resources: ResourcesDep) -> ProjectStats:
    """Counts the memories, entities and requests of the project. A chat turn that reads memories counts as a search."""
    return await read_stats(tx, resources, caller)
