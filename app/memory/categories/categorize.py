"""Give memories their categories after they were written: by the model where there is one, else by similarity.

One job for each project picks up whatever has none yet, so that adding stays as fast as it is. A model that says
nothing usable is asked again later and later; a memory never fails for want of a category.
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
from app.core.jobs import JobContext, resources_of, tasks
from app.core.ports import ChatMessage, ModelOptions, Role, Vector
from app.core.resources import Resources
from app.memory.categories.taxonomy import Category, as_prompt, choose, read_answer, read_categories
from app.projects.repository import SettingsRepository
from app.projects.token_usage import ask_model

log = structlog.get_logger()
AT_ONCE = 200
ASKED_AT_ONCE = 20
MOST_ROUNDS = 10
MOST_TRIES = 6
SOON = 2.0
KEPT_SECONDS = 3600
WAITING = text("""
select m.id, m.content, m.categorize_tries, e.request -> 'categories' as called
from memories m left join events e on e.project_id = m.project_id and e.id = m.event_id
where m.project_id = :project_id and m.categories is null and m.categorized_at is null
  and (m.categorize_after is null or m.categorize_after <= now()) and (m.state = 'indexed' or :by_model)
order by m.created_at limit :limit
""")
NEXT = text("""
select greatest(extract(epoch from min(coalesce(categorize_after, now())) - now()), 0) from memories
where project_id = :project_id and categories is null and categorized_at is null
""")
GIVE = text("""
update memories m set categories = g.categories, categorized_at = now()
from jsonb_to_recordset(cast(:given as jsonb)) as g (id uuid, categories text[])
where m.project_id = :project_id and m.id = g.id and m.categories is null
""")
POSTPONE = text("""
update memories set categorize_tries = categorize_tries + 1,
  categorize_after = now() + make_interval(secs => least(21600, 30 * power(3, categorize_tries))),
  categorized_at = case when categorize_tries + 1 >= :most then now() end
where project_id = :project_id and id = any(:ids)
""")
WAKE = text("select private.wake_categorizer(:project_id, :seconds)")
LEFT = text("""
select distinct project_id from memories
where categories is null and categorized_at is null and (categorize_after is null or categorize_after <= now())
limit 1000
""")


@dataclass(frozen=True, slots=True)
class Bare:
    """A memory without categories, and those it was to be given one of."""

    id: UUID
    content: str
    categories: tuple[Category, ...]


Given = dict[UUID, list[str] | None]
Floats: TypeAlias = NDArray[np.float32]


async def categorize(resources: Resources, project_id: UUID) -> int:
    """How many were given categories. What is left, or comes later, is left to another job."""
    by_model, done = resources.llm.name != "offline", 0
    for _ in range(MOST_ROUNDS):
        if resources.index_queue.waiting() and not by_model:
            break
        waiting = await _load(resources, project_id, by_model=by_model)
        if not waiting:
            break
        for _, group in groupby(waiting, key=lambda each: each.categories):
            given = await (_ask if by_model else _compare)(resources, project_id, list(group))
            done += await _store(resources, project_id, given)
    await _come_back(resources, project_id)
    return done


async def _load(resources: Resources, project_id: UUID, *, by_model: bool) -> list[Bare]:
    limit = ASKED_AT_ONCE if by_model else AT_ONCE
    async with resources.database.transaction(project_id) as tx:
        values = {"project_id": project_id, "by_model": by_model, "limit": limit}
        rows = (await tx.execute(WAITING, values)).all()
        settings = await SettingsRepository(tx, project_id).get() if rows else {}
    usual = read_categories(settings.get("custom_categories"))
    found = [Bare(row.id, row.content, read_categories(row.called) if row.called else usual) for row in rows]
    return sorted(found, key=lambda each: [category.name for category in each.categories])


async def _store(resources: Resources, project_id: UUID, given: Given) -> int:
    found = [{"id": str(each), "categories": names} for each, names in given.items() if names is not None]
    without = [each for each, names in given.items() if names is None]
    async with resources.database.transaction(project_id) as tx:
        await tx.execute(GIVE, {"project_id": project_id, "given": json.dumps(found)})
        if without:
            await tx.execute(POSTPONE, {"project_id": project_id, "ids": without, "most": MOST_TRIES})
            log.warning("memory.not_categorized", project_id=str(project_id), count=len(without))
    return len(found)


async def _come_back(resources: Resources, project_id: UUID) -> None:
    async with resources.database.transaction(project_id) as tx:
        seconds = await tx.scalar(NEXT, {"project_id": project_id})
        if seconds is not None:
            await _wake(tx, project_id, max(SOON, float(seconds)))


async def _wake(tx: AsyncSession, project_id: UUID, seconds: float) -> None:
    await tx.execute(WAKE, {"project_id": project_id, "seconds": seconds})


# ---------------------------------------------------------------- by a model


async def _ask(resources: Resources, project_id: UUID, bare: Sequence[Bare]) -> Given:
    """Nothing is open while the model thinks, and what it says wrong is nobody's mistake but its own."""
    categories = bare[0].categories
    task, given = as_prompt(categories, [each.content for each in bare])
    messages = [ChatMessage(Role.SYSTEM, task), ChatMessage(Role.USER, given)]
    try:
        options = ModelOptions(temperature=0, max_tokens=60 * len(bare) + 200)
        answer = await ask_model(resources, project_id, messages, options)
    except AppError:
        answer = ""
    return dict(zip([each.id for each in bare], read_answer(answer, categories, len(bare)), strict=True))


# ---------------------------------------------------------------- by similarity


async def _compare(resources: Resources, project_id: UUID, bare: Sequence[Bare]) -> Given:
    """The index has a vector of each memory already, which is nearer to some descriptions than to others."""
    categories = bare[0].categories
    described = await embed_once(resources, [words for each in categories for words in each.says])
    held = await resources.index.vectors(project_id, [each.id for each in bare])
    given: Given = {each.id: choose({}, categories) for each in bare}
    for memory_id, nearness in zip(held, cosines(held.values(), described), strict=True):
        given[memory_id] = choose(_best_of(categories, nearness), categories)
    return given


def cosines(vectors: Collection[Vector], described: Floats) -> list[list[float]]:
    rows = np.array(list(vectors), np.float32).reshape(len(vectors), described.shape[1])
    lengths = np.maximum(np.linalg.norm(rows, axis=1, keepdims=True), 1e-12)
    return (rows @ described.T / lengths).tolist()  # type: ignore[no-any-return]  # numpy does not say of what


def _best_of(categories: Sequence[Category], nearness: Sequence[float]) -> dict[str, float]:
    """Each category is as near as the nearest of its descriptions."""
    left = iter(nearness)
    return {each.name: max(islice(left, len(each.says)), default=0.0) for each in categories}


async def embed_once(resources: Resources, texts: Sequence[str]) -> Floats:
    """A row of length 1 for each. Descriptions stay the same: their vectors are kept for an hour."""
    digest = hashlib.sha256("\x1f".join(texts).encode()).hexdigest()
    key = f"categories:{resources.embedder.name}:{digest}"
    kept = await resources.short_term.get(key)
    if kept is None:
        rows = np.array(await resources.embedder.embed(texts), np.float32)
        kept = (rows / np.linalg.norm(rows, axis=1, keepdims=True)).tobytes()
        await resources.short_term.set(key, kept, KEPT_SECONDS)
    return np.frombuffer(kept, np.float32).reshape(len(texts), -1)


# ---------------------------------------------------------------- jobs


@tasks.task(name="memory.categorize", pass_context=True)
async def categorize_project(context: JobContext, project_id: str) -> None:
    """Deferred by the database itself, see supabase/migrations: once, however many memories are added meanwhile."""
    await categorize(resources_of(context), UUID(project_id))


@tasks.periodic(cron="*/5 * * * *")
@tasks.task(name="memory.categorize_left", pass_context=True, queueing_lock="categorize_left", lock="categorize_left")
async def categorize_left_behind(context: JobContext, timestamp: int) -> None:
    """What was written in the very moment in which a job looked, and what a crash left."""
    del timestamp
    async with resources_of(context).database.system() as tx:
        for project_id in list(await tx.scalars(LEFT)):
            await _wake(tx, project_id, 0)
