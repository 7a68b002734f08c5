"""Look at one memory, at its history, at a scope as a whole, and at the project."""

from collections import Counter
from uuid import UUID

from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncSession

from app.core.errors import NotFound
from app.core.resources import Resources
from app.gateways.mem0.memories.list import Part, list_memories
from app.gateways.mem0.memories.render import as_history, as_memory
from app.gateways.mem0.memories.schemas import ListMemories, Stats, Summarize, Summary
from app.gateways.mem0.responses import Answer
from app.identity.caller import Caller
from app.memory.ledger.events import HistoryRepository
from app.memory.ledger.repository import MemoryRepository

SUMMED_UP = 50
ANYBODY = {"OR": [{"user_id": "*"}, {"agent_id": "*"}, {"app_id": "*"}, {"run_id": "*"}]}
MEASURE = text("""
select count(*) as total_memories, coalesce(sum(access_count), 0) as total_retrieval_events,
  count(distinct user_id) as total_users, count(distinct agent_id) as total_agents,
  count(distinct app_id) as total_apps, count(distinct run_id) as total_runs,
  (select count(*) from events where project_id = :project_id and event_type = 'ADD') as total_add_events
from memories where project_id = :project_id
""")


async def look_up(tx: AsyncSession, caller: Caller, memory_id: UUID) -> Answer:
    return as_memory(await MemoryRepository(tx, caller.project_id, caller.user_id).get(memory_id))


async def history_of(tx: AsyncSession, caller: Caller, memory_id: UUID) -> list[Answer]:
    memory = await MemoryRepository(tx, caller.project_id, caller.user_id).find(memory_id)
    rows = await HistoryRepository(tx, caller.project_id, caller.user_id).of(memory_id)
    if memory is None and not rows:
        raise NotFound(f"There is no memory {memory_id}")
    return [as_history(row, memory.categories if memory else None) for row in rows]


async def summarize(resources: Resources, caller: Caller, asked: Summarize) -> Summary:
    """In the memories' own words: nothing is made up, and no model is asked."""
    anybody = {} if caller.account_id or asked.filters else {"filters": ANYBODY}
    listing = ListMemories(**{**dict(asked), **anybody})
    listed = await list_memories(resources, caller, listing, Part(1, SUMMED_UP))
    shown = listed.shown()
    categories = Counter(str(name) for memory in shown for name in memory["categories"] or ())
    lines = "\n".join(f"- {memory['memory']}" for memory in shown)
    return Summary(summary=lines, count=listed.count, categories=dict(categories))


async def measure(tx: AsyncSession, caller: Caller) -> Stats:
    row = (await tx.execute(MEASURE, {"project_id": caller.project_id})).one()
    return Stats.model_validate(dict(row._mapping))
