"""Change one memory, and note that it was asked for."""

import uuid
from uuid import UUID

from app.core.errors import BadRequest
from app.core.resources import Resources
from app.gateways.mem0.memories.schemas import ChangeMemory
from app.identity.caller import Caller
from app.identity.transaction import caller_transaction
from app.memory.edit import Caretaker, apply_change
from app.memory.indexing.changes import upsert_for_row
from app.memory.ledger.models import Memory
from app.memory.ledger.repository import record_event
from app.memory.namespace import Namespace

NAMES = {"text": "content", "metadata": "metadata", "timestamp": "updated_at"}


async def change_one(resources: Resources, caller: Caller, memory_id: UUID, asked: ChangeMemory) -> Memory:
    values = values_of(asked)
    who = Caretaker(caller.project_id, caller.user_id)
    async with caller_transaction(resources.database, caller) as tx:
        memory = await apply_change(tx, who, memory_id, values)
        namespace = Namespace(caller.project_id, memory.user_id, memory.profile_id)
        results = [{"id": str(memory_id), "event": "UPDATE"}]
        await record_event(tx, namespace, uuid.uuid4(), "UPDATE", done=True, results=results)
    await resources.index_queue.put([upsert_for_row(memory)])
    return memory


def values_of(asked: ChangeMemory) -> dict[str, object]:
    """Only the expiry can be taken away with a null; elsewhere a null says nothing."""
    sent = {NAMES[name]: value for name in NAMES if (value := getattr(asked, name)) is not None}
    if "expiration_date" in asked.model_fields_set:
        sent["expires_on"] = asked.expiration_date
    if not sent:
        raise BadRequest("There is nothing to change: send text, metadata, expiration_date or timestamp")
    return sent
