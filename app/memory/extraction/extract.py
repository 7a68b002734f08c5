"""Extract facts from the messages of an event: ask the extractor with no transaction open, then write all at once."""

from collections.abc import Awaitable, Callable, Sequence
from functools import partial
from uuid import UUID

from app.core.errors import ExtractionFailed
from app.core.ports import (
    ChatMessage,
    ExtractedFact,
    Extraction,
    ExtractionRequest,
    IndexChange,
    KnownMemory,
    Role,
    SearchScope,
    Usage,
)
from app.core.resources import Resources
from app.memory.extraction.instructions import resolve_instructions
from app.memory.indexing import upserts_for_added
from app.memory.ledger import MemoryRepository
from app.memory.ledger.add import event_result
from app.memory.ledger.memory import Kind, NewMemory
from app.memory.ledger.run_event import (
    MAX_ATTEMPTS,
    UNREACHABLE,
    Retryable,
    RunningEvent,
    finish_event,
    is_still_running,
    run_event,
)
from app.memory.namespace import Namespace
from app.projects.token_usage import usage_statement

NEARLY_IDENTICAL = 0.97
UNEXPECTED = "Extraction failed unexpectedly. See the server log."
Search = Callable[[Sequence[str], int], Awaitable[list[list[KnownMemory]]]]


async def run_extraction(resources: Resources, project_id: UUID, event_id: UUID, attempts: int) -> None:
    await run_event(
        resources.database,
        project_id,
        event_id,
        work=partial(_extract, resources),
        final_reason=partial(_final_reason, attempts),
        unexpected=UNEXPECTED,
    )


def _final_reason(attempts: int, error: Retryable) -> str | None:
    if isinstance(error, ExtractionFailed):
        return error.reason if error.retry_after is None or attempts >= MAX_ATTEMPTS else None
    return UNREACHABLE if attempts >= MAX_ATTEMPTS else None


async def _extract(resources: Resources, event: RunningEvent) -> None:
    extraction = await resources.extractor.extract(build_extraction_request(resources, event))
    new, known = await _split_known(resources, event.namespace, extraction.facts)
    await resources.index_queue.put(await _finish(resources, event, extraction, new, known))


def build_extraction_request(resources: Resources, event: RunningEvent) -> ExtractionRequest:
    origin = event.request.origin(event.namespace.user_id)
    return ExtractionRequest(
        messages=[ChatMessage(Role(message["role"]), message["content"]) for message in event.messages],
        search_known=_search_known(resources, event.namespace),
        user_id=origin.user_id,
        agent_id=origin.agent_id,
        instructions=resolve_instructions(event.request.instructions, event.settings, origin),
        said_at=event.request.said_at,
    )


def _search_known(resources: Resources, namespace: Namespace) -> Search:
    scope = SearchScope(namespace.project_id, (str(namespace),))

    async def search(texts: Sequence[str], limit: int) -> list[list[KnownMemory]]:
        await resources.index_queue.wait_until_indexed(namespace.project_id, [str(namespace)])
        vectors = await resources.embedder.embed(texts, tenant=namespace.project_id)
        found = [await resources.index.find_similar(scope, vector, limit) for vector in vectors]
        ids = {candidate.id for each in found for candidate in each}
        async with resources.database.transaction(namespace.project_id, namespace.user_id) as tx:
            rows = {row.id: row for row in await MemoryRepository(tx, namespace.project_id).find_all(list(ids))}
        return [
            [
                KnownMemory(candidate.id, rows[candidate.id].content, candidate.similarity or 0)
                for candidate in each
                if candidate.id in rows
            ]
            for each in found
        ]

    return search


async def _split_known(
    resources: Resources, namespace: Namespace, facts: Sequence[ExtractedFact]
) -> tuple[list[ExtractedFact], list[KnownMemory]]:
    """The new facts, and the memories that the other facts repeat in nearly the same words."""
    if not facts:
        return [], []
    new: list[ExtractedFact] = []
    known: list[KnownMemory] = []
    nearest = await _search_known(resources, namespace)([fact.text for fact in facts], 1)
    for fact, found in zip(facts, nearest, strict=True):
        if found and found[0].score >= NEARLY_IDENTICAL:
            known.append(found[0])
        else:
            new.append(fact)
    return new, known


async def _finish(
    resources: Resources,
    event: RunningEvent,
    extraction: Extraction,
    facts: Sequence[ExtractedFact],
    known: Sequence[KnownMemory],
) -> list[IndexChange]:
    new = [_as_memory(event, fact) for fact in facts]
    async with resources.database.transaction(event.namespace.project_id, event.namespace.user_id) as tx:
        if not await is_still_running(tx, event):
            return []
        repository = MemoryRepository(tx, event.namespace.project_id)
        added = await repository.add_all(event.namespace, new, deduplicate=True, event_id=event.id)
        results = [event_result(remembered) for remembered, _ in added]
        results += [{"id": str(memory.id), "event": "NONE"} for memory in known]
        await finish_event(tx, event, results=results, note=extraction.note)
        if extraction.usage != Usage():
            await tx.execute(*usage_statement(event.namespace.project_id, extraction.usage))
    return upserts_for_added(event.namespace, new, added)


def _as_memory(event: RunningEvent, fact: ExtractedFact) -> NewMemory:
    return NewMemory(
        content=fact.text,
        kind=Kind.FACT,
        role=fact.attributed_to,
        context="\n".join(message["content"] for message in event.messages),
        origin=event.request.origin(event.namespace.user_id),
        metadata={**event.request.metadata, **fact.metadata},
        immutable=event.request.immutable,
        expires_on=event.request.expires_on,
        created_at=event.request.said_at,
        source_message_id=event.request.source_message_id,
        input=event.messages,
    )
