"""mem0's tools for entities and events."""

from app.core.errors import BadRequest
from app.gateways.mcp.arguments import (
    DeleteEntitiesArguments,
    GetEventStatusArguments,
    ListEntitiesArguments,
    ListEventsArguments,
)
from app.gateways.mcp.call import ToolCall
from app.gateways.mcp.memory_tools import next_page
from app.gateways.mcp.tool import AnyTool, Tool, ToolResult
from app.gateways.mem0.entities.entities import (
    check_entity_id,
    count_by_type,
    delete_entity_data,
    parse_entity_type,
    render_entity,
)
from app.gateways.mem0.events.read import read_event, read_event_page
from app.identity.administration import require_confirmed_caller
from app.identity.scopes import Scope
from app.identity.transaction import caller_transaction
from app.memory.entities import EntityRepository


async def delete_entities(call: ToolCall, given: DeleteEntitiesArguments) -> ToolResult:
    named = given.named()
    if not named:
        raise BadRequest("delete_entities requires at least one of user_id, agent_id, app_id and run_id.")
    if call.caller.key_id is None:  # a grant of OAuth was given with the second factor
        await require_confirmed_caller(call.request, call.caller, call.resources)
    events = [
        await delete_entity_data(call.resources, call.caller, parse_entity_type(field), check_entity_id(name))
        for field, name in named.items()
    ]
    return {"message": "Entities deleted successfully!", "event_ids": events}


async def list_entities(call: ToolCall, given: ListEntitiesArguments) -> ToolResult:
    async with caller_transaction(call.resources.database, call.caller) as tx:
        rows = await EntityRepository(tx, call.caller.project_id).find_entities()
    page = rows[(given.page - 1) * given.page_size : given.page * given.page_size]
    return {
        "count": len(rows),
        "next_page": next_page(given.page, given.page_size, len(rows)),
        **count_by_type(rows),
        "results": [render_entity(row, call.caller) for row in page],
    }


async def list_events(call: ToolCall, given: ListEventsArguments) -> ToolResult:
    async with caller_transaction(call.resources.database, call.caller) as tx:
        count, events = await read_event_page(tx, call.caller, **given.model_dump())
    return {"count": count, "next_page": next_page(given.page, given.page_size, count), "results": events}


async def get_event_status(call: ToolCall, given: GetEventStatusArguments) -> ToolResult:
    async with caller_transaction(call.resources.database, call.caller) as tx:
        return await read_event(tx, call.caller, given.event_id)


PROJECT_TOOLS: tuple[AnyTool, ...] = (
    Tool(
        "delete_entities",
        "Erase a user, agent, app or run",
        "Erases each named user, agent, app or run with everything that is stored about it, in all profiles.",
        DeleteEntitiesArguments,
        Scope.MEMORIES_WRITE,
        delete_entities,
        destructive=True,
        idempotent=True,
    ),
    Tool(
        "list_entities",
        "List entities",
        "Lists the users, agents, apps and runs that memories belong to, with the number of memories of each.",
        ListEntitiesArguments,
        Scope.MEMORIES_READ,
        list_entities,
    ),
    Tool(
        "list_events",
        "List events",
        "Lists the requests that added, changed or deleted memories, with their outcome, newest first.",
        ListEventsArguments,
        Scope.MEMORIES_READ,
        list_events,
    ),
    Tool(
        "get_event_status",
        "Get the outcome of a request",
        "Returns PENDING, RUNNING, SUCCEEDED or FAILED, and the memories that a request made.",
        GetEventStatusArguments,
        Scope.MEMORIES_READ,
        get_event_status,
    ),
)
