from collections.abc import Collection, Sequence
from dataclasses import replace
from uuid import UUID

from sqlalchemy import ColumnElement, or_, select
from sqlalchemy.orm import aliased

from app.core.resources import Resources
from app.core.storable_text import is_blank
from app.memory.documents import load_documents
from app.memory.extraction import is_interim
from app.memory.ledger import DOCUMENT_PATH, Kind, Memory, MemoryRepository, NewMemory, Outcome, document_path, visible
from app.memory.namespace import Namespace
from app.memory.remember import remember

BATCH_SIZE = 200


async def copy_memories(resources: Resources, source: Namespace, to_profile_id: UUID) -> tuple[int, int]:
    """Into another profile of the same user: how many were copied, and how many existed there already.

    Words that only wait for the language model are not copied: their facts will replace them in the source alone.
    In batches, so that no transaction grows with the profile."""
    target = replace(source, profile_id=to_profile_id)
    copied, existing, cursor = 0, 0, None
    while True:
        memories, cursor = await _load_batch(resources, source, cursor)
        taken = await _taken_paths(resources, target, memories)
        # Earlier versions could store a blank memory. It is not copied.
        new = [_copy(memory, taken) for memory in memories if not is_blank(memory.content)]
        if new:
            result = await remember(resources, target, new)
            added = sum(each.outcome is Outcome.ADDED for each in result.results)
            copied, existing = copied + added, existing + len(new) - added
        if cursor is None:
            return copied, existing


async def _taken_paths(resources: Resources, target: Namespace, memories: Sequence[Memory]) -> Collection[str]:
    """The paths of documents that the target has, too."""
    paths = [path for memory in memories if (path := document_path(memory.metadata_)) is not None]
    if not paths:
        return ()
    async with resources.database.transaction(target.project_id, target.user_id) as tx:
        return await load_documents(tx, target, paths)


def _copy(memory: Memory, taken: Collection[str]) -> NewMemory:
    """A document whose path is taken is copied as a memory without one."""
    new = NewMemory.copied_from(memory)
    if document_path(new.metadata) not in taken:
        return new
    return replace(new, metadata={name: value for name, value in new.metadata.items() if name != DOCUMENT_PATH})


async def _load_batch(
    resources: Resources, source: Namespace, cursor: str | None
) -> tuple[Sequence[Memory], str | None]:
    async with resources.database.transaction(source.project_id, source.user_id) as tx:
        memories = MemoryRepository(tx, source.project_id, source.user_id)
        where = [Memory.namespace == str(source), ~is_interim(), *visible(show_superseded=True)]
        page = await memories.page(BATCH_SIZE, cursor, *where, Memory.kind != Kind.SUMMARY, _is_current(source))
    return page.results, page.next


def _is_current(source: Namespace) -> ColumnElement[bool]:
    """Not superseded, or folded into a summary: a copy of the summary would outlive an episode that is erased."""
    summary = aliased(Memory)
    current = [summary.kind == Kind.SUMMARY, summary.replaced_by.is_(None), summary.archived_at.is_(None)]
    mine = [summary.project_id == source.project_id, summary.namespace == str(source)]
    return or_(Memory.replaced_by.is_(None), Memory.replaced_by.in_(select(summary.id).where(*mine, *current)))
