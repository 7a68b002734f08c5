"""The daily consolidation of the projects that want it."""

from uuid import UUID

import structlog
from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncSession

from app.core.jobs import JobContext, defer, defer_for_each_project, resources_of, tasks
from app.core.resources import Resources
from app.memory.judgement.consolidate import Consolidated, Consolidation
from app.memory.judgement.duplicates.neighbours_by_model import ModelComparison

log = structlog.get_logger()

SELECT_CONSOLIDATED_PROJECTS_SQL = text("select id from projects where settings ->> 'consolidate' = 'true'")
SELECT_IS_CONSOLIDATED_SQL = text("select settings ->> 'consolidate' = 'true' from projects where id = :project_id")


async def consolidate_project(resources: Resources, project_id: UUID) -> Consolidated:
    """Nothing is deleted: what is superseded can be restored, and stays beside its successor then."""
    async with resources.database.transaction(project_id) as tx:
        if not await tx.scalar(SELECT_IS_CONSOLIDATED_SQL, {"project_id": project_id}):
            return Consolidated()
    model = None if resources.llm.name == "offline" else ModelComparison(resources, project_id)
    consolidation = Consolidation(
        resources.database,
        merge_duplicates=True,
        compare_left=model.compare if model else None,
    )
    counts = (await consolidation.run(project_id, lambda _done, _total: None)).get(project_id, Consolidated())
    counts.merged += model.merged if model else 0
    log.info(
        "memory.consolidated",
        project_id=str(project_id),
        statements=counts.statements,
        replaced=counts.replaced,
        merged=counts.merged,
        without_vector=model.without_vector if model else 0,
        questions=model.asked if model else 0,
        **({f"refused_{reason}": count for reason, count in model.refused.items()} if model else {}),
    )
    return counts


@tasks.task(name="memory.consolidate", pass_context=True)
async def consolidate_one(context: JobContext, project_id: str) -> None:
    await consolidate_project(resources_of(context), UUID(project_id))


@tasks.periodic(cron="41 2 * * *")
@tasks.task(name="memory.consolidate_all", pass_context=True, queueing_lock="consolidate_all", lock="consolidate_all")
async def consolidate_all(context: JobContext, timestamp: int) -> None:
    del timestamp
    await defer_for_each_project(context, SELECT_CONSOLIDATED_PROJECTS_SQL, _defer_consolidation)


async def _defer_consolidation(tx: AsyncSession, project_id: UUID) -> None:
    await defer(tx, consolidate_one, lock=f"consolidate:{project_id}", project_id=str(project_id))
