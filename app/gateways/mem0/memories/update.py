"""Update one memory, and record an event."""

import uuid
from uuid import UUID

from app.core.database.deadlock import repeat_after_deadlock
from app.core.errors import BadRequest
from app.core.resources import Resources
from app.gateways.mem0.memories.schemas import MemoryUpdate
from app.identity.caller import Caller
from app.identity.transaction import caller_transaction
from app.memory.edit import Owner, apply_change
from app.memory.indexing import upsert_for_row
from app.memory.ledger import Memory, record_event
from app.memory.namespace import Namespace

COLUMNS_BY_FIELD = {"text": "content", "metadata": "metadata", "timestamp": "updated_at", "standing": "standing"}


@repeat_after_deadlock
async def update_one(resources: Resources, caller: Caller, memory_id: UUID, request: MemoryUpdate) -> Memory:
    values = read_changes(request)
    owner = Owner(caller.project_id, caller.user_id)
    async with caller_transaction(resources.database, caller) as tx:
        memory = await apply_change(tx, owner, memory_id, values)
        namespace = Namespace(caller.project_id, memory.user_id, memory.profile_id)
        results = [{"id": str(memory_id), "event": "UPDATE"}]
        await record_event(tx, namespace, uuid.uuid4(), "UPDATE", done=True, results=results)
    await resources.index_queue.put([upsert_for_row(memory)])
    return memory


def read_changes(request: MemoryUpdate) -> dict[str, object]:
    """null removes the expiration date. For other fields it means the same as omitting them."""
    changes = {
        column: value for field, column in COLUMNS_BY_FIELD.items() if (value := getattr(request, field)) is not None
    }
    if "expiration_date" in request.model_fields_set:
        changes["expires_on"] = request.expiration_date
    if not changes:
        raise BadRequest("Nothing to change. Send text, metadata, expiration_date, standing or timestamp")
    return changes
