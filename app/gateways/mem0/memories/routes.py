"""/v3/memories/, /v1/memories/{id}/ and what goes with them: mem0's Platform API, which is our memory API."""

from typing import Annotated

from fastapi import APIRouter, Query, Request

from app.core.resources import ResourcesDep
from app.gateways.mem0.errors import REFUSALS, PlainRefusals
from app.gateways.mem0.memories.add import add_memories
from app.gateways.mem0.memories.delete import forget_one, forget_scope, read_scope
from app.gateways.mem0.memories.list import choose_part, chosen, list_memories
from app.gateways.mem0.memories.read import history_of, look_up, measure, summarize
from app.gateways.mem0.memories.render import as_memory
from app.gateways.mem0.memories.schemas import (
    Added,
    AddMemories,
    ChangeMemory,
    DeleteAll,
    Deleted,
    FeedbackShown,
    GiveFeedback,
    HistoryShown,
    ListMemories,
    MemoryPage,
    MemoryShown,
    Placed,
    Pong,
    SearchMemories,
    SearchResults,
    Started,
    Stats,
    Summarize,
    Summary,
)
from app.gateways.mem0.memories.search import search_memories
from app.gateways.mem0.memories.update import change_one
from app.gateways.mem0.project_check import check_place, read_memory_id
from app.gateways.mem0.responses import Json, written_envelope
from app.identity.caller import CallerDep, MemoryReader, MemoryWriter
from app.identity.transaction import Transaction
from app.memory.ledger.feedback import FeedbackRepository

router = APIRouter(tags=["memories"], responses=REFUSALS, route_class=PlainRefusals)
PageNumber = Annotated[int | None, Query(description="Wins over the body")]


@router.post("/v3/memories/search/", responses={200: {"model": SearchResults}}, response_class=Json)
async def search(body: SearchMemories, caller: MemoryReader, resources: ResourcesDep) -> Json:
    """By meaning and by words, best first."""
    return Json({"results": await search_memories(resources, caller, body)})


@router.get("/v1/ping/")
async def ping(caller: CallerDep, org_id: str | None = None, project_id: str | None = None) -> Pong:
    """Whether this credential is good, and for which project."""
    check_place(caller, Placed(org_id=org_id, project_id=project_id))
    return Pong(org_id=str(caller.organization_id), project_id=str(caller.project_id), user_email=caller.email)


@router.post("/v3/memories/add/", responses={200: {"model": Added}}, response_class=Json)
async def add(body: AddMemories, caller: MemoryWriter, resources: ResourcesDep) -> Json:
    """Remember a conversation. `infer: true` answers at once, and the event says what was found worth remembering."""
    return Json(await add_memories(resources, caller, body))


@router.post("/v3/memories/", responses={200: {"model": MemoryPage}}, response_class=Json)
async def list_page(
    request: Request,
    body: ListMemories,
    caller: MemoryReader,
    resources: ResourcesDep,
    page: PageNumber = None,
    page_size: PageNumber = None,
) -> Json:
    """Newest first. In the default profile of whomever the filters name, unless `profile_id` says otherwise."""
    part = choose_part(body, page, page_size)
    listed = await list_memories(resources, caller, body, part)
    return Json(written_envelope(request, part.page, part.size, listed.count, chosen(listed, body.fields)))


@router.delete("/v1/memories/")
async def delete_all(
    request: Request, caller: MemoryWriter, resources: ResourcesDep, scope: Annotated[DeleteAll, Query()]
) -> Started:
    """Everything that all the conditions together name. No condition, or one that cannot be read, deletes nothing."""
    check_place(caller, scope)
    event_id = await forget_scope(resources, caller, read_scope(request), scope.profile_id)
    return Started(message="Memories deleted successfully!", event_id=event_id)


@router.get("/v1/memories/{memory_id}/history/", responses={200: {"model": list[HistoryShown]}}, response_class=Json)
async def get_history(memory_id: str, caller: MemoryReader, tx: Transaction) -> Json:
    """Oldest first. Of a deleted memory it says that there was one, and no word of it."""
    return Json(await history_of(tx, caller, read_memory_id(memory_id)))


@router.get("/v1/memories/{memory_id}/", responses={200: {"model": MemoryShown}}, response_class=Json)
async def get_memory(memory_id: str, caller: MemoryReader, tx: Transaction) -> Json:
    """Whether it has expired or not."""
    return Json(await look_up(tx, caller, read_memory_id(memory_id)))


@router.put("/v1/memories/{memory_id:path}/", responses={200: {"model": MemoryShown}}, response_class=Json)
async def update_memory(memory_id: str, body: ChangeMemory, caller: MemoryWriter, resources: ResourcesDep) -> Json:
    """What is not sent stays as it is; `expiration_date: null` takes the expiry away."""
    check_place(caller, body)
    return Json(as_memory(await change_one(resources, caller, read_memory_id(memory_id), body)))


@router.delete("/v1/memories/{memory_id:path}/", response_model_exclude_none=True)
async def delete_memory(
    memory_id: str, caller: MemoryWriter, resources: ResourcesDep, delete_linked: bool = False
) -> Deleted:
    """`delete_linked` takes the older memories along that this one had replaced."""
    besides = await forget_one(resources, caller, read_memory_id(memory_id), linked=delete_linked)
    return Deleted(message="Memory deleted successfully!", cascade_count=besides if delete_linked else None)


@router.post("/v1/feedback/")
async def give_feedback(body: GiveFeedback, caller: MemoryWriter, tx: Transaction) -> FeedbackShown:
    """One opinion for each memory; a null takes it back."""
    check_place(caller, body)
    memory_id = read_memory_id(body.memory_id)
    opinions = FeedbackRepository(tx, caller.project_id, caller.user_id)
    if body.feedback is None:
        await opinions.take_back(memory_id)
        return FeedbackShown(id=None, feedback=None, feedback_reason=None)
    kept = await opinions.give(memory_id, body.feedback, body.feedback_reason)
    return FeedbackShown(id=kept, feedback=body.feedback, feedback_reason=body.feedback_reason)


@router.post("/v1/summary/")
async def get_summary(caller: MemoryReader, resources: ResourcesDep, body: Summarize | None = None) -> Summary:
    """The newest memories of the scope in one text, and how many there are of each category."""
    return await summarize(resources, caller, body or Summarize())


@router.get("/v1/stats/")
async def get_stats(caller: MemoryReader, tx: Transaction) -> Stats:
    return await measure(tx, caller)
