"""Turn what was said into facts: read the event, ask the extractor with nothing open, write everything at once.

An extraction that fails is an event in state FAILED with a reason, never an empty success. One that is tried again
after a crash finds its event done and does nothing: facts and the event's state are written in one transaction.
"""

import asyncio
import datetime as dt
import json
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from typing import Any
from uuid import UUID

import structlog
from sqlalchemy import text
from sqlalchemy.exc import SQLAlchemyError
from sqlalchemy.ext.asyncio import AsyncSession

from app.core.errors import AppError, ExtractionFailed
from app.core.ports import (
    Change,
    ChatMessage,
    ExtractedFact,
    Extraction,
    ExtractionRequest,
    KnownMemory,
    Role,
    SearchScope,
    Usage,
)
from app.core.resources import Resources
from app.memory.extraction.instructions import read_called, resolve
from app.memory.indexing.changes import changes_of
from app.memory.ledger.new_memory import Kind, NewMemory, as_result
from app.memory.ledger.repository import MemoryRepository
from app.memory.namespace import Namespace
from app.projects.token_usage import using

log = structlog.get_logger()
MOST_TRIES = 6
NEARLY_IDENTICAL = 0.97
AWAY = "The database, the vector index or the embedder could not be reached, however often it was tried"
BROKEN = "The extraction ended in a way that was not foreseen: see the log of the server"
START = text("""
update events set status = 'RUNNING', started_at = coalesce(started_at, now()), updated_at = now()
where project_id = :project_id and id = :id and status in ('PENDING', 'RUNNING')
returning user_id, messages, request, (select p.settings from projects p where p.id = :project_id) as settings
""")
STILL_RUNNING = text("""
select id from events where project_id = :project_id and id = :id and status = 'RUNNING' for update
""")
FINISH = text("""
update events set status = :status, results = cast(:results as jsonb), note = :note, error = :error,
  messages = case when :keep then messages end, completed_at = now(), updated_at = now()
where project_id = :project_id and id = :id and status = 'RUNNING'
""")


@dataclass(frozen=True, slots=True)
class Task:
    event_id: UUID
    namespace: Namespace
    messages: Sequence[dict[str, str]]
    request: dict[str, Any]
    settings: dict[str, Any]
    """The project's."""

    @property
    def key(self) -> dict[str, UUID]:
        return {"project_id": self.namespace.project_id, "id": self.event_id}


async def run_extraction(resources: Resources, project_id: UUID, event_id: UUID, tries: int) -> None:
    task = await _begin(resources, project_id, event_id)
    if task is None:
        return
    reason: str | None = BROKEN
    try:
        await _extract(resources, task)
        reason = None
    except (ExtractionFailed, AppError, OSError, SQLAlchemyError) as error:
        reason = _final(error, tries)
        if reason is None:
            raise
    except asyncio.CancelledError:
        reason = None
        raise
    finally:
        if reason is not None:
            await _fail(resources, task, reason)


def _final(error: ExtractionFailed | AppError | OSError | SQLAlchemyError, tries: int) -> str | None:
    """What the event is to say, or None while another try makes sense."""
    if isinstance(error, ExtractionFailed):
        return error.reason if error.retry_after is None or tries >= MOST_TRIES else None
    return AWAY if tries >= MOST_TRIES else None


async def _extract(resources: Resources, task: Task) -> None:
    extraction = await resources.extractor.extract(_as_request(resources, task))
    fresh, known = await _sort_out(resources, task.namespace, extraction.facts)
    changes = await _finish(resources, task, extraction, fresh, known)
    await resources.index_queue.put(changes)


async def _begin(resources: Resources, project_id: UUID, event_id: UUID) -> Task | None:
    """None when the event is done already, or was deleted with its session before its turn came."""
    async with resources.database.transaction(project_id) as tx:
        row = (await tx.execute(START, {"project_id": project_id, "id": event_id})).first()
    if row is None:
        return None
    profile_id = row.request.get("profile_id")
    namespace = Namespace(project_id, row.user_id, UUID(profile_id) if profile_id else None)
    return Task(event_id, namespace, row.messages or [], row.request, row.settings)


def _as_request(resources: Resources, task: Task) -> ExtractionRequest:
    said_at, agent_id = task.request.get("said_at"), task.request.get("agent_id")
    called, user_id = read_called(task.request.get("instructions")), task.namespace.user_id
    return ExtractionRequest(
        messages=[ChatMessage(Role(message["role"]), message["content"]) for message in task.messages],
        search_known=_search_known(resources, task.namespace),
        user_id=user_id,
        agent_id=agent_id,
        instructions=resolve(called, task.settings, user_id=user_id, agent_id=agent_id),
        said_at=dt.datetime.fromisoformat(said_at) if said_at else None,
    )


Search = Callable[[Sequence[str], int], Awaitable[list[list[KnownMemory]]]]


def _search_known(resources: Resources, namespace: Namespace) -> Search:
    scope = SearchScope(namespace.project_id, (str(namespace),))

    async def search(texts: Sequence[str], limit: int) -> list[list[KnownMemory]]:
        await resources.index_queue.settled(namespace.project_id, [str(namespace)])
        vectors = await resources.embedder.embed(texts)
        found = [await resources.index.similar(scope, vector, limit) for vector in vectors]
        ids = {candidate.id for each in found for candidate in each}
        async with resources.database.transaction(namespace.project_id, namespace.user_id) as tx:
            rows = {row.id: row for row in await MemoryRepository(tx, namespace.project_id).many(list(ids))}
        return [
            [
                KnownMemory(candidate.id, rows[candidate.id].content, candidate.similarity or 0)
                for candidate in each
                if candidate.id in rows
            ]
            for each in found
        ]

    return search


async def _sort_out(
    resources: Resources, namespace: Namespace, facts: Sequence[ExtractedFact]
) -> tuple[list[ExtractedFact], list[KnownMemory]]:
    """New facts, and the memories that others only say again in nearly the same words."""
    if not facts:
        return [], []
    fresh: list[ExtractedFact] = []
    known: list[KnownMemory] = []
    nearest = await _search_known(resources, namespace)([fact.text for fact in facts], 1)
    for fact, found in zip(facts, nearest, strict=True):
        if found and found[0].score >= NEARLY_IDENTICAL:
            known.append(found[0])
        else:
            fresh.append(fact)
    return fresh, known


async def _finish(
    resources: Resources,
    task: Task,
    extraction: Extraction,
    fresh: Sequence[ExtractedFact],
    known: Sequence[KnownMemory],
) -> list[Change]:
    new = [_as_memory(task, fact) for fact in fresh]
    async with resources.database.transaction(task.namespace.project_id, task.namespace.user_id) as tx:
        if (await tx.execute(STILL_RUNNING, task.key)).first() is None:
            return []
        repository = MemoryRepository(tx, task.namespace.project_id)
        added = await repository.add_all(task.namespace, new, deduplicate=True, event_id=task.event_id)
        results = [as_result(result) for result, _ in added]
        results += [{"id": str(memory.id), "event": "NONE"} for memory in known]
        await _close(tx, task, "SUCCEEDED", results=results, note=extraction.note)
        if extraction.usage != Usage():
            await tx.execute(*using(task.namespace.project_id, extraction.usage))
    return changes_of(task.namespace, new, added)


def _as_memory(task: Task, fact: ExtractedFact) -> NewMemory:
    asked = task.request
    said_at, expires_on, source = asked.get("said_at"), asked.get("expires_on"), asked.get("source_message_id")
    return NewMemory(
        content=fact.text,
        kind=Kind.FACT,
        role=fact.attributed_to,
        context="\n".join(message["content"] for message in task.messages),
        agent_id=asked.get("agent_id"),
        app_id=asked.get("app_id"),
        run_id=asked.get("run_id"),
        metadata={**asked.get("metadata", {}), **fact.metadata},
        immutable=bool(asked.get("immutable")),
        expires_on=dt.date.fromisoformat(expires_on) if expires_on else None,
        created_at=dt.datetime.fromisoformat(said_at) if said_at else None,
        source_message_id=UUID(source) if source else None,
        input=tuple(task.messages),
    )


async def _fail(resources: Resources, task: Task, reason: str) -> None:
    log.warning("memory.extraction_failed", event_id=str(task.event_id))
    async with resources.database.transaction(task.namespace.project_id, task.namespace.user_id) as tx:
        await _close(tx, task, "FAILED", error=reason)


async def _close(
    tx: AsyncSession,
    task: Task,
    status: str,
    *,
    results: Sequence[dict[str, object]] = (),
    note: str | None = None,
    error: str | None = None,
) -> None:
    outcome = {"status": status, "results": json.dumps(results), "note": note, "error": error}
    await tx.execute(FINISH, {**task.key, **outcome, "keep": status == "FAILED"})
