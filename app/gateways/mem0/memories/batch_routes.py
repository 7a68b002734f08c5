"""/v1/batch/: many memories in one request."""

from fastapi import APIRouter

from app.core.http.schemas import Done
from app.core.resources import ResourcesDep
from app.gateways.mem0.errors import REFUSALS, PlainRefusals
from app.gateways.mem0.memories.batch import delete_batch, update_batch
from app.gateways.mem0.memories.schemas import BatchDelete, BatchUpdate
from app.gateways.mem0.project_check import check_place
from app.identity.caller import MemoryWriter

router = APIRouter(prefix="/v1/batch", tags=["memories"], responses=REFUSALS, route_class=PlainRefusals)


@router.put("/")
async def update_memories(body: BatchUpdate, caller: MemoryWriter, resources: ResourcesDep) -> Done:
    """All of them or none. What is not sent stays as it is."""
    check_place(caller, body)
    count = await update_batch(resources, caller, body.memories)
    return Done(message=f"Successfully updated {count} memories")


@router.delete("/")
async def delete_memories(body: BatchDelete, caller: MemoryWriter, resources: ResourcesDep) -> Done:
    """All of them or none. The ids are in the body."""
    check_place(caller, body)
    count = await delete_batch(resources, caller, body.memories)
    return Done(message=f"Successfully deleted {count} memories")
