"""/v1/memories/{id}/archive, /restore and /move: an addition to mem0's routes, so unknown parameters are refused.

The paths with a slash at the end are routes, too, because routes of entities would match them with another method."""

from uuid import UUID

from app.core.http.strict_requests import RequestBody, own_router
from app.core.resources import ResourcesDep
from app.gateways.mem0.memories.render import MemoryRead, render_memory
from app.gateways.mem0.project_check import parse_memory_id
from app.gateways.mem0.responses import FastJson
from app.identity.caller import MemoryWriter
from app.memory.archive import archive_memory, restore_memory
from app.memory.edit import Owner
from app.memory.move import move_memory

router = own_router(tags=["Memories"])


class MoveMemory(RequestBody):
    profile_id: UUID


@router.post("/v1/memories/{memory_id}/archive/", include_in_schema=False, response_class=FastJson)
@router.post("/v1/memories/{memory_id}/archive", responses={200: {"model": MemoryRead}}, response_class=FastJson)
async def archive_memory_by_id(memory_id: str, caller: MemoryWriter, resources: ResourcesDep) -> FastJson:
    """Takes a memory out of search, recall and lists. It can still be read by its id, and restored."""
    owner = Owner(caller.project_id, caller.user_id)
    return FastJson(render_memory(await archive_memory(resources, owner, parse_memory_id(memory_id))))


@router.post("/v1/memories/{memory_id}/restore/", include_in_schema=False, response_class=FastJson)
@router.post("/v1/memories/{memory_id}/restore", responses={200: {"model": MemoryRead}}, response_class=FastJson)
async def restore_memory_by_id(memory_id: str, caller: MemoryWriter, resources: ResourcesDep) -> FastJson:
    """Brings an archived or superseded memory back into search, recall and lists, beside what replaced it."""
    owner = Owner(caller.project_id, caller.user_id)
    return FastJson(render_memory(await restore_memory(resources, owner, parse_memory_id(memory_id))))


@router.post("/v1/memories/{memory_id}/move/", include_in_schema=False, response_class=FastJson)
@router.post("/v1/memories/{memory_id}/move", responses={200: {"model": MemoryRead}}, response_class=FastJson)
async def move_memory_by_id(
    memory_id: str, body: MoveMemory, caller: MemoryWriter, resources: ResourcesDep
) -> FastJson:
    """Moves a memory with its history to another profile of its user. Older memories that it replaced move with it."""
    owner = Owner(caller.project_id, caller.user_id)
    moved = await move_memory(resources, owner, parse_memory_id(memory_id), body.profile_id)
    return FastJson(render_memory(moved))
