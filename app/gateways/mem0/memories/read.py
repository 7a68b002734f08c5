"""Read one memory, its history, the summary of a scope, and the statistics of the project."""

from collections import Counter
from uuid import UUID

from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncSession

from app.core.errors import NotFound
from app.core.resources import Resources
from app.gateways.mem0.memories.list import PageRequest, list_memories
from app.gateways.mem0.memories.render import render_history, render_memory, render_sources
from app.gateways.mem0.memories.schemas import ListMemories, ProjectStats, SummaryRead, SummaryRequest
from app.gateways.mem0.responses import JsonObject
from app.identity.caller import Caller
from app.memory.ledger import HistoryRepository, MemoryRepository
from app.memory.supersession import find_merged

MAX_SUMMARIZED = 50
ANY_ENTITY = {"OR": [{"user_id": "*"}, {"agent_id": "*"}, {"app_id": "*"}, {"run_id": "*"}]}
PROJECT_STATS_SQL = text("""
select count(*) as total_memories,
  coalesce(sum(access_count), 0) as read_in_chats,
  (select coalesce(sum(searches), 0) from usage_by_day where project_id = :project_id) as searches,
  count(distinct user_id) as total_users, count(distinct agent_id) as total_agents,
  count(distinct app_id) as total_apps, count(distinct run_id) as total_runs,
  (select count(*) from events where project_id = :project_id and event_type = 'ADD') as total_add_events
from memories where project_id = :project_id and kind <> 'message'
""")


async def read_memory(tx: AsyncSession, caller: Caller, memory_id: UUID) -> JsonObject:
    repository = MemoryRepository(tx, caller.project_id, caller.user_id)
    memory = await repository.get(memory_id)
    merged = await find_merged(tx, caller.project_id, memory_id)
    same = [memory, *(await repository.find_all(merged) if merged else ())]
    repeats = await HistoryRepository(tx, caller.project_id, caller.user_id).repeats_of([each.id for each in same])
    sources = [
        source for each in same for source in render_sources(each, [r for r in repeats if r.memory_id == each.id])
    ]
    return {**render_memory(memory), "sources": sources}


async def read_history(tx: AsyncSession, caller: Caller, memory_id: UUID) -> list[JsonObject]:
    memory = await MemoryRepository(tx, caller.project_id, caller.user_id).find(memory_id)
    rows = await HistoryRepository(tx, caller.project_id, caller.user_id).of_memory(memory_id)
    if memory is None and not rows:
        raise NotFound(f"There is no memory {memory_id}")
    return [render_history(row, memory.categories if memory else None) for row in rows]


async def summarize(resources: Resources, caller: Caller, request: SummaryRequest) -> SummaryRead:
    """A list of the newest memories in their own words. No language model is involved."""
    everything = {} if caller.account_id or request.filters else {"filters": ANY_ENTITY}
    list_request = ListMemories(**{**dict(request), **everything})
    listed = await list_memories(resources, caller, list_request, PageRequest(1, MAX_SUMMARIZED, is_complete=True))
    memories = listed.memories()
    categories = Counter(str(name) for memory in memories for name in memory["categories"] or ())
    lines = "\n".join(f"- {memory['memory']}" for memory in memories)
    return SummaryRead(summary=lines, count=listed.count, categories=dict(categories))


async def read_stats(tx: AsyncSession, resources: Resources, caller: Caller) -> ProjectStats:
    """Searches are counted for the project, so a caller who sees one user gets the reads of that user's memories."""
    row = (await tx.execute(PROJECT_STATS_SQL, {"project_id": caller.project_id})).one()
    searches = int(row.searches) + resources.usage.searches_of(caller.project_id)
    retrievals = searches if caller.user_id is None else int(row.read_in_chats)
    return ProjectStats.model_validate({**row._mapping, "total_retrieval_events": retrievals})
