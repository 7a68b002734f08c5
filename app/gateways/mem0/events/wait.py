"""Wait until the event of an add is finished, for clients that send `async_mode: false`."""

import asyncio
import time
from uuid import UUID

from app.core.resources import Resources
from app.gateways.mem0.events.render import load_contents, render_event
from app.gateways.mem0.responses import JsonObject
from app.identity.caller import Caller
from app.identity.transaction import caller_transaction
from app.memory.ledger import EventRepository

SHARE_OF_TIME = 1 / 3
"""Of the time that a request may take."""
FIRST_PAUSE_SECONDS, LONGEST_PAUSE_SECONDS = 0.05, 1.0
FINISHED = ("SUCCEEDED", "FAILED")
MESSAGES = {
    "SUCCEEDED": "Memories processed successfully",
    "FAILED": "The memories could not be extracted. The event says why",
}


async def wait_for_event(resources: Resources, caller: Caller, event_id: UUID) -> JsonObject:
    """Nothing if the event is not finished in time: then the client reads it later."""
    ends_at = time.monotonic() + SHARE_OF_TIME * resources.config.request_timeout_seconds
    pause = FIRST_PAUSE_SECONDS
    while time.monotonic() < ends_at:
        await asyncio.sleep(pause)
        pause = min(2 * pause, LONGEST_PAUSE_SECONDS)
        found = await _read(resources, caller, event_id)
        if found["status"] in FINISHED:
            return {"status": found["status"], "results": found["results"], "message": MESSAGES[found["status"]]}
    return {}


async def _read(resources: Resources, caller: Caller, event_id: UUID) -> JsonObject:
    async with caller_transaction(resources.database, caller) as tx:
        event = await EventRepository(tx, caller.project_id, caller.user_id).get(event_id)
        return render_event(event, await load_contents(tx, caller.project_id, [event]))
