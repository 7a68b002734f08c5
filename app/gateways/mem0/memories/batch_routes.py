"""/v1/batch/: change many memories in one request."""

from fastapi import APIRouter

from app.core.http.schemas import Done
from app.core.resources import ResourcesDep
from app.gateways.mem0.errors import ERROR_RESPONSES, Mem0Route
from app.gateways.mem0.memories.batch import delete_batch, update_batch
from app.gateways.mem0.memories.schemas import BatchDelete, BatchUpdate
from app.gateways.mem0.project_check import check_project_matches
from app.identity.caller import MemoryWriter

router = APIRouter(prefix="/v1/batch", tags=["Memories"], responses=ERROR_RESPONSES, route_class=Mem0Route)


@router.put("/")
async def update_memory_batch(body: BatchUpdate, caller: MemoryWriter, resources: ResourcesDep) -> Done:
    """Updates up to 1000 memories: either all of them, or none. Fields that are not sent keep their value."""
    check_project_matches(caller, body)
    count = await update_batch(resources, caller, body.memories)
    return Done(message=f"Successfully updated {count} memories")


@router.delete("/")
async def delete_memory_batch(body: BatchDelete, caller: MemoryWriter, resources: ResourcesDep) -> Done:
    """Deletes up to 1000 memories, named in the body: either all of them, or none."""
    check_project_matches(caller, body)
    count = await delete_batch(resources, caller, body.memories)
    return Done(message=f"Successfully deleted {count} memories")
