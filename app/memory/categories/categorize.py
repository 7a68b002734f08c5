"""Assign categories to memories after they are written: by the language model if there is one, else by similarity.

One job for each project picks up the memories without categories, so that adding a memory stays fast. After an unusable
answer the model is asked again, each time later; a memory never fails for want of a category.
"""

import hashlib
import json
from collections.abc import Collection, Sequence
from dataclasses import dataclass
from itertools import groupby, islice
from typing import TypeAlias
from uuid import UUID

import numpy as np
import structlog
from numpy.typing import NDArray
from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncSession

from app.core.errors import AppError
from app.core.ports import MULTILINGUAL, ChatMessage, EmbedderChoice, ModelOptions, Role, Vector
from app.core.resources import Resources
from app.memory.categories.taxonomy import Category, build_prompt, choose_by_similarity, parse_answer, parse_categories
from app.memory.embedders import choice_of, embed_with, on_default_scale
from app.projects.repository import SettingsRepository
from app.projects.token_usage import ask_model

log = structlog.get_logger()
BATCH_SIZE = 200
MODEL_BATCH_SIZE = 20
MAX_ROUNDS = 10
MAX_TRIES = 6
MIN_DELAY_SECONDS = 2.0
OUTAGE_DELAY_SECONDS = 60.0
"""While the model is away. The job does not use up the tries of the memories."""
CACHE_SECONDS = 3600
SELECT_UNCATEGORIZED_SQL = text("""
select m.id, m.content, m.categorize_tries, e.request -> 'categories' as of_call
from memories m left join events e on e.project_id = m.project_id and e.id = m.event_id
where m.project_id = :project_id and m.categories is null and m.categorized_at is null
  and (m.categorize_after is null or m.categorize_after <= now()) and (m.state = 'indexed' or :by_model)
order by m.created_at limit :limit
""")
SELECT_SECONDS_TO_NEXT_SQL = text("""
select greatest(extract(epoch from min(coalesce(categorize_after, now())) - now()), 0) from memories
where project_id = :project_id and categories is null and categorized_at is null
having count(*) > 0
""")
SET_CATEGORIES_SQL = text("""
with given as (select * from jsonb_to_recordset(cast(:assigned as jsonb)) as g (id uuid, categories text[])),
locked as (
  select id from memories where project_id = :project_id and id = any(array(select id from given))
  order by id for update
)
update memories m set categories = given.categories, categorized_at = now() from given
where m.project_id = :project_id and m.id = given.id and m.id = any(array(select id from locked))
  and m.categories is null
""")
POSTPONE_CATEGORIZATION_SQL = text("""
with locked as (select id from memories where project_id = :project_id and id = any(:ids) order by id for update)
update memories set categorize_tries = categorize_tries + 1,
  categorize_after = now() + make_interval(secs => least(21600, 30 * power(3, categorize_tries))),
  categorized_at = case when categorize_tries + 1 >= :max_tries then now() end
where project_id = :project_id and id = any(array(select id from locked))
""")
DEFER_CATEGORIZATION_SQL = text("select private.wake_categorizer(:project_id, :seconds)")


@dataclass(frozen=True, slots=True)
class UncategorizedMemory:
    id: UUID
    content: str
    categories: tuple[Category, ...]
    """The categories to choose from."""


Assignments: TypeAlias = dict[UUID, list[str] | None]
"""The categories of each memory; None if the model's answer was not usable."""
UnitVectors: TypeAlias = NDArray[np.float32]


async def categorize_memories(resources: Resources, project_id: UUID) -> int:
    """Returns how many memories were categorized. Another job takes those that remain or arrive later."""
    try:
        done, delay = await _categorize_waiting(resources, project_id), MIN_DELAY_SECONDS
    except AppError as error:
        if not error.is_outage:
            raise
        done, delay = 0, OUTAGE_DELAY_SECONDS
    await _schedule_next(resources, project_id, delay)
    return done


async def _categorize_waiting(resources: Resources, project_id: UUID) -> int:
    by_model, done = resources.llm.name != "offline", 0
    for _ in range(MAX_ROUNDS):
        if resources.index_queue.count_waiting(project_id) and not by_model:
            break
        waiting = await _load_uncategorized(resources, project_id, by_model=by_model)
        if not waiting:
            break
        for _, group in groupby(waiting, key=lambda each: each.categories):
            assign = _assign_by_model if by_model else _assign_by_similarity
            done += await _store(resources, project_id, await assign(resources, project_id, list(group)))
    return done


async def _load_uncategorized(resources: Resources, project_id: UUID, *, by_model: bool) -> list[UncategorizedMemory]:
    """Memories that choose from the same categories are adjacent."""
    limit = MODEL_BATCH_SIZE if by_model else BATCH_SIZE
    async with resources.database.transaction(project_id) as tx:
        values = {"project_id": project_id, "by_model": by_model, "limit": limit}
        rows = (await tx.execute(SELECT_UNCATEGORIZED_SQL, values)).all()
        settings = await SettingsRepository(tx, project_id).get() if rows else {}
    of_project = parse_categories(settings.get("custom_categories"))
    memories = [
        UncategorizedMemory(row.id, row.content, parse_categories(row.of_call) if row.of_call else of_project)
        for row in rows
    ]
    return sorted(memories, key=lambda each: [category.name for category in each.categories])


async def _store(resources: Resources, project_id: UUID, assignments: Assignments) -> int:
    assigned = [{"id": str(each), "categories": names} for each, names in assignments.items() if names is not None]
    failed = [each for each, names in assignments.items() if names is None]
    async with resources.database.transaction(project_id) as tx:
        await tx.execute(SET_CATEGORIES_SQL, {"project_id": project_id, "assigned": json.dumps(assigned)})
        if failed:
            await tx.execute(
                POSTPONE_CATEGORIZATION_SQL, {"project_id": project_id, "ids": failed, "max_tries": MAX_TRIES}
            )
            log.warning("memory.not_categorized", project_id=str(project_id), count=len(failed))
    return len(assigned)


async def _schedule_next(resources: Resources, project_id: UUID, min_delay: float) -> None:
    async with resources.database.transaction(project_id) as tx:
        seconds = await tx.scalar(SELECT_SECONDS_TO_NEXT_SQL, {"project_id": project_id})
        if seconds is not None:
            await schedule_categorization(tx, project_id, max(min_delay, float(seconds)))


async def schedule_categorization(tx: AsyncSession, project_id: UUID, seconds: float = 0) -> None:
    await tx.execute(DEFER_CATEGORIZATION_SQL, {"project_id": project_id, "seconds": seconds})


# ---------------------------------------------------------------- by a model


async def _assign_by_model(
    resources: Resources, project_id: UUID, memories: Sequence[UncategorizedMemory]
) -> Assignments:
    """No transaction is open while the model answers. A failed call counts as an unusable answer, but not if the
    model is away."""
    categories = memories[0].categories
    task, data = build_prompt(categories, [each.content for each in memories])
    messages = [ChatMessage(Role.SYSTEM, task), ChatMessage(Role.USER, data)]
    try:
        options = ModelOptions(temperature=0, max_tokens=60 * len(memories) + 200)
        answer = await ask_model(resources, project_id, messages, options)
    except AppError as error:
        if error.is_outage:
            raise
        answer = ""
    return dict(zip([each.id for each in memories], parse_answer(answer, categories, len(memories)), strict=True))


# ---------------------------------------------------------------- by similarity


async def _assign_by_similarity(
    resources: Resources, project_id: UUID, memories: Sequence[UncategorizedMemory]
) -> Assignments:
    """Compares the vectors in the index with those of the descriptions. A memory without a vector gets the fallback."""
    categories = memories[0].categories
    vectors = await resources.index.load_vectors(project_id, [each.id for each in memories])
    if not vectors:
        return {each.id: choose_by_similarity({}, categories) for each in memories}
    choice = choice_of(next(iter(vectors.values())))
    descriptions = await embed_cached(
        resources, project_id, [words for each in categories for words in each.descriptions], choice
    )
    assigned: Assignments = {each.id: choose_by_similarity({}, categories) for each in memories}
    for memory_id, found in zip(vectors, cosines(vectors.values(), descriptions), strict=True):
        similarities = [on_default_scale(choice, each) for each in found]
        assigned[memory_id] = choose_by_similarity(_best_by_category(categories, similarities), categories)
    return assigned


def cosines(vectors: Collection[Vector], descriptions: UnitVectors) -> list[list[float]]:
    rows = np.array(list(vectors), np.float32).reshape(len(vectors), descriptions.shape[1])
    lengths = np.maximum(np.linalg.norm(rows, axis=1, keepdims=True), 1e-12)
    return (rows @ descriptions.T / lengths).tolist()  # type: ignore[no-any-return]  # numpy types it as Any


def _best_by_category(categories: Sequence[Category], similarities: Sequence[float]) -> dict[str, float]:
    """The similarity of each category is that of its most similar description."""
    remaining = iter(similarities)
    return {each.name: max(islice(remaining, len(each.descriptions)), default=0.0) for each in categories}


async def embed_cached(
    resources: Resources, project_id: UUID, texts: Sequence[str], choice: EmbedderChoice = EmbedderChoice.ENGLISH
) -> UnitVectors:
    """One row of length 1 for each text, cached for an hour because descriptions seldom change."""
    digest = hashlib.sha256("\x1f".join(texts).encode()).hexdigest()
    name = resources.embedder.name if choice is EmbedderChoice.ENGLISH else MULTILINGUAL.name
    key = f"categories:{name}:{digest}"
    cached = await resources.short_term.get(key)
    if cached is None:
        rows = np.array(await embed_with(resources.embedder, choice, texts, project_id), np.float32)
        cached = (rows / np.linalg.norm(rows, axis=1, keepdims=True)).tobytes()
        await resources.short_term.set(key, cached, CACHE_SECONDS, tenant=str(project_id))
    return np.frombuffer(cached, np.float32).reshape(len(texts), -1)
