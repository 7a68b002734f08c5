"""Search the memories that match a filter, by meaning and by keywords."""

from collections.abc import Mapping, Sequence
from typing import NamedTuple
from uuid import UUID

from app.core.resources import Resources
from app.gateways.mem0.memories.addressing import resolve_scope, restrict_to_caller
from app.gateways.mem0.memories.list import past_moment, refuse_ids_outside_filters, request_filter
from app.gateways.mem0.memories.render import pick_fields, render_memory
from app.gateways.mem0.memories.schemas import SearchMemories
from app.gateways.mem0.project_check import check_project_matches
from app.gateways.mem0.responses import JsonObject
from app.identity.caller import Caller
from app.identity.transaction import caller_transaction
from app.memory.ledger import HistoryRepository, Kind
from app.memory.recall import (
    Question,
    Recalled,
    decay_enabled,
    embed_question,
    is_embedded,
    pool_size,
    recall,
    recall_with_decay,
    rerank,
)
from app.memory.standing import load_standing


class SearchResult(NamedTuple):
    results: list[JsonObject]
    answerable: bool
    """Whether any of the results fits the question, whatever the threshold is."""
    by_meaning: bool = True
    """False if the question could not be embedded, so that only words were compared."""


async def search_memories(
    resources: Resources, caller: Caller, request: SearchMemories, *, counts_access: bool = True
) -> SearchResult:
    """Without a threshold, only what fits the question is returned."""
    check_project_matches(caller, request)
    refuse_ids_outside_filters(request)
    moment = request.as_of or request.reference_date
    requested = restrict_to_caller(caller, request_filter(request))
    async with embed_question(resources.embedder, caller.project_id, request.query, moment) as vector:
        scope = await resolve_scope(resources.database, caller, requested, request.profile_id)
        question = Question(
            project_id=caller.project_id,
            text=request.query,
            namespaces=scope.namespaces,
            top_k=pool_size(request.top_k) if request.rerank else request.top_k,
            threshold=request.threshold,
            filter=scope.filter,
            show_expired=request.show_expired,
            show_superseded=request.shows_superseded,
            as_of=past_moment(moment),
            at=moment,
            user_id=caller.user_id,
            counts_access=counts_access,
        )
        search = recall_with_decay if await decay_enabled(resources, caller.project_id) else recall
        found = await search(resources, question, vector)
        if request.rerank and vector is not None and is_embedded(vector):
            found = await rerank(resources, question, vector, found)
        found = found[: request.top_k]
    inputs = await _load_inputs_of_facts(resources, caller, request, found)
    results = [render_result(recalled, request, inputs) for recalled in found]
    return SearchResult(results, any(recalled.fits for recalled in found), by_meaning=is_embedded(vector))


async def find_standing(resources: Resources, caller: Caller, request: SearchMemories) -> JsonObject:
    """Those of the profiles that the search covers, whatever its other conditions are."""
    if not request.include_standing:
        return {}
    requested = restrict_to_caller(caller, request_filter(request))
    scope = await resolve_scope(resources.database, caller, requested, request.profile_id)
    as_of = past_moment(request.as_of or request.reference_date)
    found = await load_standing(resources, caller.project_id, scope.namespaces, as_of)
    return {"standing": [pick_fields(render_memory(each), request.fields) for each in found]}


async def _load_inputs_of_facts(
    resources: Resources, caller: Caller, request: SearchMemories, found: Sequence[Recalled]
) -> Mapping[UUID, object]:
    """The conversation of a fact is stored in its history only, so it is read where the client asks for it."""
    facts = [recalled.memory.id for recalled in found if recalled.memory.kind == Kind.FACT]
    if not facts or "input" not in (request.fields or ()):
        return {}
    async with caller_transaction(resources.database, caller) as tx:
        return await HistoryRepository(tx, caller.project_id, caller.user_id).inputs_of(facts)


def render_result(recalled: Recalled, request: SearchMemories, inputs: Mapping[UUID, object]) -> JsonObject:
    memory = render_memory(recalled.memory)
    if recalled.memory.kind == Kind.EPISODE:
        memory["input"] = [{"role": recalled.memory.role, "content": recalled.memory.content}]
    elif recalled.memory.id in inputs:
        memory["input"] = inputs[recalled.memory.id]
    memory["score"] = min(1.0, max(0.0, recalled.score))
    if request.explain:
        memory["score_breakdown"] = recalled.parts
    return pick_fields(memory, request.fields)
