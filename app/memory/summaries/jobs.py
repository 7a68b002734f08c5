"""The daily folding of the projects that are consolidated, and the same on request."""

from uuid import UUID

from sqlalchemy.ext.asyncio import AsyncSession

from app.core.database.database import Database
from app.core.jobs import JobContext, defer, defer_for_each_project, resources_of, tasks
from app.core.resources import Resources
from app.memory.judgement.consolidate import SELECT_PROJECT_IDS_SQL
from app.memory.judgement.jobs import SELECT_CONSOLIDATED_PROJECTS_SQL, SELECT_IS_CONSOLIDATED_SQL
from app.memory.summaries.episodes import Foldable, count_foldable
from app.memory.summaries.fold import FoldOutcome, fold_episodes

MAX_PER_DAY = 20
"""Summaries of one project. Each is one question to the language model."""
MAX_PER_JOB = 3
"""Then the job queues itself, so that other jobs have their turn."""


async def fold_some(resources: Resources, project_id: UUID, left: int, *, on_request: bool) -> int:
    """Returns how many summaries may follow today. On request, the project's setting does not matter."""
    async with resources.database.transaction(project_id) as tx:
        is_wanted = on_request or await tx.scalar(SELECT_IS_CONSOLIDATED_SQL, {"project_id": project_id})
    if not is_wanted or left <= 0:
        return 0
    most = min(MAX_PER_JOB, left)
    report = await fold_episodes(resources, project_id, most=most)
    # An episode that changed meanwhile says nothing about the groups after it.
    is_done = report.summaries + report.outcomes[FoldOutcome.CHANGED] < most
    return 0 if is_done else left - most


@tasks.task(name="memory.fold_episodes", pass_context=True)
async def fold_project(context: JobContext, project_id: str, left: int, on_request: bool) -> None:
    resources = resources_of(context)
    left = await fold_some(resources, UUID(project_id), left, on_request=on_request)
    if left:
        async with resources.database.system() as tx:
            await _queue(tx, UUID(project_id), left=left, on_request=on_request)


@tasks.periodic(cron="53 2 * * *")
@tasks.task(name="memory.fold_all", pass_context=True, queueing_lock="fold_all", lock="fold_all")
async def fold_all(context: JobContext, timestamp: int) -> None:
    """After the consolidation, so that no summary repeats what it has superseded."""
    del timestamp
    await defer_for_each_project(context, SELECT_CONSOLIDATED_PROJECTS_SQL, _queue)


async def request_folding(database: Database, project_id: UUID | None, *, dry_run: bool) -> dict[UUID, Foldable]:
    """What there is to fold, in one project or in all. A server folds it, because only a server has the model."""
    async with database.system() as tx:
        projects = list(await tx.scalars(SELECT_PROJECT_IDS_SQL, {"project_id": project_id}))
    counts = {each: await count_foldable(database, each) for each in projects}
    for each, count in counts.items():
        if count.groups and not dry_run:
            async with database.system() as tx:
                await _queue(tx, each, left=count.groups, on_request=True)
    return counts


async def _queue(tx: AsyncSession, project_id: UUID, *, left: int = MAX_PER_DAY, on_request: bool = False) -> None:
    lock = f"fold:{project_id}"
    await defer(tx, fold_project, lock=lock, project_id=str(project_id), left=left, on_request=on_request)
