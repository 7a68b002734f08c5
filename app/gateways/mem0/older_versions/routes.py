"""Versions 1 and 2 of mem0's memory calls, for clients still in the wild. Translation only."""

from typing import Annotated

from fastapi import APIRouter, Query, Request

from app.core.errors import NotFound
from app.core.resources import ResourcesDep
from app.gateways.mem0.entities.entities import read_name, read_type
from app.gateways.mem0.errors import REFUSALS, PlainRefusals
from app.gateways.mem0.memories.add import add_memories
from app.gateways.mem0.memories.list import Listed, Part, chosen, list_memories
from app.gateways.mem0.memories.schemas import ListMemories, MemoryPage
from app.gateways.mem0.memories.search import search_memories
from app.gateways.mem0.older_versions.schemas import AddV1, Found, Listing, ListV1, Queued, QueuedResults, SearchOld
from app.gateways.mem0.older_versions.translate import V1_1, as_listing, as_queued, as_search, choose_old_part
from app.gateways.mem0.responses import Json, written_envelope
from app.identity.caller import MemoryReader, MemoryWriter

router = APIRouter(tags=["memories: older versions"], responses=REFUSALS, route_class=PlainRefusals)
OLD_THRESHOLD = 0.3
Text = Annotated[str | None, Query()]


@router.post("/v1/memories/", responses={200: {"model": list[Queued] | QueuedResults}}, response_class=Json)
async def add_v1(body: AddV1, caller: MemoryWriter, resources: ResourcesDep) -> Json:
    """Use /v3/memories/add/."""
    return Json(as_queued(await add_memories(resources, caller, body), body.output_format))


@router.get("/v1/memories/", responses={200: {"model": Listing}}, response_class=Json)
async def list_v1(
    request: Request, asked: Annotated[ListV1, Query()], caller: MemoryReader, resources: ResourcesDep
) -> Json:
    """Use POST /v3/memories/. An array, or a page where both `page` and `page_size` are given."""
    listing, part = as_listing(asked), choose_old_part(asked.page, asked.page_size)
    listed = await list_memories(resources, caller, listing, part)
    paged = asked.page is not None and asked.page_size is not None
    return Json(as_page(request, listed, part, listing) if paged else chosen(listed, listing.fields))


@router.post("/v1/memories/search/", responses={200: {"model": Found}}, response_class=Json)
async def search_v1(body: SearchOld, caller: MemoryReader, resources: ResourcesDep) -> Json:
    """Use /v3/memories/search/."""
    found = await search_memories(resources, caller, as_search(body))
    return Json({"results": found, "relations": []} if body.output_format == V1_1 else found)


@router.post("/v2/memories/", responses={200: {"model": Listing}}, response_class=Json)
async def list_v2(
    request: Request,
    body: ListMemories,
    caller: MemoryReader,
    resources: ResourcesDep,
    page: Text = None,
    page_size: Text = None,
) -> Json:
    """Use POST /v3/memories/. An array, or a page where both `page` and `page_size` are given."""
    part = choose_old_part(page, page_size)
    listed = await list_memories(resources, caller, body, part)
    paged = page is not None and page_size is not None
    return Json(as_page(request, listed, part, body) if paged else chosen(listed, body.fields))


@router.post("/v2/memories/search/", responses={200: {"model": Found}}, response_class=Json)
async def search_v2(body: SearchOld, caller: MemoryReader, resources: ResourcesDep) -> Json:
    """Use /v3/memories/search/."""
    found = await search_memories(resources, caller, body, threshold=OLD_THRESHOLD)
    return Json({"results": found, "relations": []} if body.output_format == V1_1 else found)


@router.get("/v1/memories/{entity_type}/{entity_id:path}/", responses={200: {"model": MemoryPage}}, response_class=Json)
async def list_of_entity(
    request: Request,
    entity_type: str,
    entity_id: str,
    caller: MemoryReader,
    resources: ResourcesDep,
    page: Text = None,
) -> Json:
    """A hundred on a page."""
    part = choose_old_part(page or "1", "100")
    asked = ListMemories(filters={f"{read_type(entity_type)}_id": read_name(entity_id)})
    return Json(as_page(request, await list_memories(resources, caller, asked, part), part, asked))


def as_page(request: Request, listed: Listed, part: Part, asked: ListMemories) -> bytes:
    """Beyond the last page these clients expect a refusal."""
    if part.page > 1 and (part.page - 1) * part.size >= listed.count:
        raise NotFound("Invalid page.")
    return written_envelope(request, part.page, part.size, listed.count, chosen(listed, asked.fields))
