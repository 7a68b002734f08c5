"""Extract facts from the messages of an event: ask the extractor with no transaction open, then write all at once."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from uuid import UUID

from sqlalchemy.ext.asyncio import AsyncSession

from app.core.database.database import Statement
from app.core.errors import Conflict, ExtractionFailed, Postponed
from app.core.ports import (
    ChatMessage,
    ExtractedFact,
    Extraction,
    ExtractionRequest,
    IndexChange,
    IndexUpsert,
    KnownMemory,
    Role,
    Usage,
)
from app.core.resources import Resources
from app.core.storable_text import is_blank
from app.memory.extraction.instructions import has_wishes, resolve_instructions
from app.memory.extraction.interim import read_messages, replace_interim, store_waiting_words
from app.memory.extraction.judge_facts import count_compared, judge_facts
from app.memory.extraction.known import KnownMemories
from app.memory.extraction.requests import is_never_stored
from app.memory.importance import with_importance
from app.memory.indexing import upserts_for_added
from app.memory.judgement import ModelVerdicts, Pair, record_replacements, replaced_result
from app.memory.ledger.add import Outcome, Remembered, count_added, event_result
from app.memory.ledger.memory import Kind, NewMemory
from app.memory.ledger.repeats import Repeat, repeats_statement
from app.memory.ledger.repository import MemoryRepository
from app.memory.ledger.row_locks import lock_chains_of_namespace
from app.memory.ledger.run_event import (
    MAX_ATTEMPTS,
    UNREACHABLE,
    Retryable,
    RunningEvent,
    begin_events,
    finish_statements,
    lock_running,
    run_attempt,
)
from app.memory.namespace import Namespace
from app.projects.token_usage import find_exceeded_budget, usage_statement

NEARLY_IDENTICAL = 0.97
UNEXPECTED = "Extraction failed unexpectedly. See the server log."
MAX_EVENTS = 24
MAX_BYTES = 16_000
"""About 4,000 tokens: the budget for events that are read together. One event alone may be longer."""
MAX_CONTEXT_CHARACTERS = 20_000
"""Each fact is stored and indexed with its conversation, so a long one would be multiplied by its facts."""
ALONE_FROM_ATTEMPT = 2
"""After so many attempts, the event is read alone, in case one of the others makes them fail."""


@dataclass(frozen=True, slots=True)
class Findings:
    """What an event leads to."""

    event: RunningEvent
    new: list[NewMemory]
    repeats: dict[UUID, Repeat]
    """What was known before, by the id of the memory."""
    near: dict[UUID, Sequence[KnownMemory]] = field(default_factory=dict)
    """The nearest older memories of each new one."""


async def run_extraction(resources: Resources, project_id: UUID, event_id: UUID, attempts: int) -> None:
    events = await begin_events(resources.database, project_id, event_id, most=MAX_EVENTS, max_bytes=MAX_BYTES)
    if not events:
        return
    together = events[:1] if attempts - events[0].postponed >= ALONE_FROM_ATTEMPT else events
    work = _extract(resources, together)
    try:
        await run_attempt(
            resources.database, events[0], work, attempts, final_reason=_final_reason, unexpected=UNEXPECTED
        )
    except (ExtractionFailed, Postponed):
        await store_waiting_words(resources, project_id, str(events[0].namespace))
        raise


def _final_reason(attempts: int, error: Retryable) -> str | None:
    if isinstance(error, ExtractionFailed):
        return error.reason if error.retry_after is None or attempts >= MAX_ATTEMPTS else None
    return UNREACHABLE if attempts >= MAX_ATTEMPTS else None


async def _extract(resources: Resources, events: Sequence[RunningEvent]) -> None:
    """If the model cannot read several events together, the first is read alone. The others have jobs of their own."""
    if exceeded := await find_exceeded_budget(resources, events[0].namespace.project_id):
        raise ExtractionFailed(exceeded.detail)
    try:
        await _read_together(resources, events)
    except ExtractionFailed as error:
        if len(events) == 1 or error.retry_after is not None:
            raise
        await _read_together(resources, events[:1])


async def _read_together(resources: Resources, events: Sequence[RunningEvent]) -> None:
    known = KnownMemories(resources, events[0].namespace, without=events[0].interim_of_namespace)
    events = await read_messages(resources, events)
    extraction = await resources.extractor.extract(build_extraction_request(resources, *events, known=known))
    findings = await _sort_facts(events, known, extraction.facts, compared=count_compared(resources))
    new = [memory for each in findings for memory in each.new]
    near = {id_: memories for each in findings for id_, memories in each.near.items()}
    verdicts = await judge_facts(resources, events[0].namespace, new, near)
    await resources.index_queue.put(await _finish(resources, findings, extraction, verdicts))


def build_extraction_request(
    resources: Resources, *events: RunningEvent, known: KnownMemories | None = None
) -> ExtractionRequest:
    first = events[0]
    origin, instructions = first.request.origin(first.namespace.user_id), first.request.instructions
    messages = [
        (number, message)
        for number, event in enumerate(events)
        for message in event.messages
        if not is_never_stored(message)
    ]
    return ExtractionRequest(
        messages=[ChatMessage(Role(message["role"]), message["content"]) for _, message in messages],
        sources=[number for number, _ in messages] if len(events) > 1 else (),
        search_known=(known or KnownMemories(resources, first.namespace)).search,
        user_id=origin.user_id,
        agent_id=origin.agent_id,
        instructions=resolve_instructions(instructions, first.settings, origin),
        has_wishes=has_wishes(instructions, first.settings, origin),
        excludes=instructions.excludes,
        said_at=first.request.said_at,
    )


async def _sort_facts(
    events: Sequence[RunningEvent], known: KnownMemories, facts: Sequence[ExtractedFact], *, compared: int
) -> list[Findings]:
    """The facts of each event: new ones, and the memories that the others repeat in nearly the same words."""
    findings = [Findings(event, [], {}) for event in events]
    facts = [fact for fact in facts if not is_blank(fact.text)]
    if not facts:
        return findings
    nearest = await known.search([fact.text for fact in facts], compared)
    for fact, found in zip(facts, nearest, strict=True):
        of_event = findings[await _find_source(events, known, fact)]
        memory = _as_memory(of_event.event, fact)
        if found and found[0].score >= NEARLY_IDENTICAL:
            of_event.repeats[found[0].id] = Repeat(found[0].id, memory)
        else:
            of_event.new.append(memory)
            of_event.near[memory.id] = found
    return findings


async def _find_source(events: Sequence[RunningEvent], known: KnownMemories, fact: ExtractedFact) -> int:
    """The event that the extractor names, or the one with the most similar message."""
    if len(events) == 1:
        return 0
    if fact.source is not None and fact.source < len(events):
        return fact.source
    return await known.nearest(fact.text, [[message["content"] for message in event.messages] for event in events])


async def _finish(
    resources: Resources, findings: Sequence[Findings], extraction: Extraction, verdicts: ModelVerdicts
) -> list[IndexChange]:
    namespace = findings[0].event.namespace
    new = [memory for each in findings for memory in each.new]
    event_ids = {memory.id: each.event.id for each in findings for memory in each.new}
    async with resources.database.transaction(namespace.project_id, namespace.user_id) as tx:
        await lock_chains_of_namespace(tx, str(namespace))
        running = await lock_running(tx, [each.event for each in findings])
        if not running:
            return []
        if len(running) < len(findings):
            raise Conflict("An event was deleted while the language model read it together with others")
        removals = await replace_interim(tx, [each.event for each in findings], running)
        repository = MemoryRepository(tx, namespace.project_id)
        added = await repository.add_all(namespace, new, deduplicate=True, event_ids=event_ids)
        outcomes = {memory.id: remembered for memory, (remembered, _) in zip(new, added, strict=True)}
        replaced = await _replace(tx, namespace, verdicts, outcomes)
        results = {each.event.id: _results(each, outcomes, replaced) for each in findings}
        note = " ".join(filter(None, (extraction.note, verdicts.note))) or None
        statements: list[Statement] = [*finish_statements(namespace, results, note)]
        if repeats := [repeat for each in findings for repeat in each.repeats.values()]:
            statements.append(repeats_statement(namespace.project_id, repeats))
        if extraction.usage != Usage():
            statements.append(usage_statement(resources.config, namespace.project_id, extraction.usage))
        await resources.database.pipeline_in(tx, *statements)
    upserts = [
        replace(each, judged_with=verdicts.judged.get(each.id, frozenset())) if isinstance(each, IndexUpsert) else each
        for each in upserts_for_added(namespace, new, added)
    ]
    count_added(resources, namespace.project_id, len(upserts))
    return [*removals, *upserts]


async def _replace(
    tx: AsyncSession, namespace: Namespace, verdicts: ModelVerdicts, outcomes: Mapping[UUID, Remembered]
) -> list[Pair]:
    """A duplicate replaces nothing: it was there before."""
    added = [pair for pair in verdicts.replacing if outcomes[pair.new.id].outcome is Outcome.ADDED]
    return await record_replacements(tx, namespace.project_id, added)


def _results(
    findings: Findings, outcomes: Mapping[UUID, Remembered], replaced: Sequence[Pair]
) -> list[dict[str, object]]:
    ids = {memory.id for memory in findings.new}
    results = [event_result(outcomes[memory.id]) for memory in findings.new]
    results += [{"id": str(memory_id), "event": "NONE"} for memory_id in findings.repeats]
    return results + [replaced_result(pair) for pair in replaced if pair.new.id in ids]


def _as_memory(event: RunningEvent, fact: ExtractedFact) -> NewMemory:
    memory = NewMemory(
        content=fact.text,
        kind=Kind.FACT,
        role=fact.attributed_to,
        standing=fact.standing,
        door=event.request.door,
        context=choose_context([message["content"] for message in event.messages], fact.text),
        origin=event.request.origin(event.namespace.user_id),
        metadata={**event.request.metadata, **fact.metadata},
        immutable=event.request.immutable,
        expires_on=event.request.expires_on,
        created_at=event.request.said_at,
        source_message_id=event.request.source_message_id,
        input=event.messages,
    )
    return with_importance(memory, event.request.metadata)


def choose_context(messages: Sequence[str], fact: str) -> str | None:
    """The conversation of a fact. Of a long one, the messages that share most words with the fact.

    They are whole: a message that is deleted is removed from the contexts that contain all of it."""
    if sum(map(len, messages)) <= MAX_CONTEXT_CHARACTERS:
        return "\n".join(messages)
    words = set(fact.lower().split())
    shared = [sum(word in message.lower() for word in words) for message in messages]
    left, chosen = MAX_CONTEXT_CHARACTERS, list[int]()
    for number in sorted(range(len(messages)), key=lambda each: -shared[each]):
        if len(messages[number]) <= left:
            chosen.append(number)
            left -= len(messages[number])
    return "\n".join(messages[number] for number in sorted(chosen)) or None
