"""Versions 1 and 2 of mem0's memory routes, for older clients. They only translate."""

from typing import Annotated

from fastapi import APIRouter, Query, Request

from app.core.errors import NotFound
from app.core.resources import ResourcesDep
from app.gateways.mem0.entities.entities import check_entity_id, parse_entity_type
from app.gateways.mem0.errors import ERROR_RESPONSES, Mem0Route
from app.gateways.mem0.memories.add import add_memories
from app.gateways.mem0.memories.list import MemoryList, PageRequest, list_memories, select_fields
from app.gateways.mem0.memories.schemas import ListMemories, MemoryPage
from app.gateways.mem0.memories.search import search_memories
from app.gateways.mem0.older_versions.schemas import (
    AddResultsV1,
    AddV1,
    ListV1,
    OldListResponse,
    OldSearch,
    OldSearchResponse,
    QueuedEvent,
)
from app.gateways.mem0.older_versions.translate import (
    V1_1,
    choose_old_page,
    to_list_request,
    to_old_add_response,
    without_ids_on_top,
)
from app.gateways.mem0.responses import FastJson, page_of_json
from app.identity.caller import MemoryReader, MemoryWriter

router = APIRouter(tags=["Older memory routes"], responses=ERROR_RESPONSES, route_class=Mem0Route)
Text = Annotated[str | None, Query()]


@router.post("/v1/memories/", responses={200: {"model": list[QueuedEvent] | AddResultsV1}}, response_class=FastJson)
async def add_memories_v1(body: AddV1, caller: MemoryWriter, resources: ResourcesDep) -> FastJson:
    """Remembers a conversation. New clients use POST /v3/memories/add/."""
    return FastJson(to_old_add_response(await add_memories(resources, caller, body), body.output_format))


@router.get("/v1/memories/", responses={200: {"model": OldListResponse}}, response_class=FastJson)
async def list_memories_v1(
    request: Request, query: Annotated[ListV1, Query()], caller: MemoryReader, resources: ResourcesDep
) -> FastJson:
    """Lists memories: an array, or a page if `page` and `page_size` are sent. New clients use POST /v3/memories/."""
    body, page = to_list_request(query), choose_old_page(query.page, query.page_size)
    listed = await list_memories(resources, caller, body, page)
    paged = query.page is not None and query.page_size is not None
    return FastJson(render_page(request, listed, page, body) if paged else select_fields(listed, body.fields))


@router.post("/v1/memories/search/", responses={200: {"model": OldSearchResponse}}, response_class=FastJson)
async def search_memories_v1(body: OldSearch, caller: MemoryReader, resources: ResourcesDep) -> FastJson:
    """Searches memories. New clients use POST /v3/memories/search/."""
    results = (await search_memories(resources, caller, without_ids_on_top(body))).results
    return FastJson({"results": results, "relations": []} if body.output_format == V1_1 else results)


@router.post("/v2/memories/", responses={200: {"model": OldListResponse}}, response_class=FastJson)
async def list_memories_v2(
    request: Request,
    body: ListMemories,
    caller: MemoryReader,
    resources: ResourcesDep,
    page: Text = None,
    page_size: Text = None,
) -> FastJson:
    """Lists memories: an array, or a page if `page` and `page_size` are sent. New clients use POST /v3/memories/."""
    requested = choose_old_page(page, page_size)
    listed = await list_memories(resources, caller, without_ids_on_top(body), requested)
    paged = page is not None and page_size is not None
    return FastJson(render_page(request, listed, requested, body) if paged else select_fields(listed, body.fields))


@router.post("/v2/memories/search/", responses={200: {"model": OldSearchResponse}}, response_class=FastJson)
async def search_memories_v2(body: OldSearch, caller: MemoryReader, resources: ResourcesDep) -> FastJson:
    """Searches memories. New clients use POST /v3/memories/search/."""
    results = (await search_memories(resources, caller, without_ids_on_top(body))).results
    return FastJson({"results": results, "relations": []} if body.output_format == V1_1 else results)


@router.get(
    "/v1/memories/{entity_type}/{entity_id:path}/", responses={200: {"model": MemoryPage}}, response_class=FastJson
)
async def list_entity_memories_v1(
    request: Request,
    entity_type: str,
    entity_id: str,
    caller: MemoryReader,
    resources: ResourcesDep,
    page: Text = None,
) -> FastJson:
    """Lists the memories of a user, agent, app or run, a hundred on a page. New clients use POST /v3/memories/."""
    requested = choose_old_page(page or "1", "100")
    body = ListMemories(filters={f"{parse_entity_type(entity_type)}_id": check_entity_id(entity_id)})
    listed = await list_memories(resources, caller, body, requested)
    return FastJson(render_page(request, listed, requested, body))


def render_page(request: Request, listed: MemoryList, page: PageRequest, body: ListMemories) -> bytes:
    """These clients expect an error after the last page."""
    if page.page > 1 and page.offset >= listed.count:
        raise NotFound("Invalid page.")
    return page_of_json(request, page.page, page.size, listed.count, select_fields(listed, body.fields))
