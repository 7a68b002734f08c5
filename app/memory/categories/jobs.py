from uuid import UUID

from sqlalchemy import text

from app.core.jobs import JobContext, defer_for_each_project, resources_of, tasks
from app.memory.categories.categorize import categorize_memories, schedule_categorization

SELECT_UNCATEGORIZED_PROJECTS_SQL = text("""
select distinct project_id from memories
where categories is null and categorized_at is null and (categorize_after is null or categorize_after <= now())
limit 1000
""")


@tasks.task(name="memory.categorize", pass_context=True)
async def categorize_project(context: JobContext, project_id: str) -> None:
    """A trigger in supabase/migrations defers this job once for all memories that are added before it runs."""
    await categorize_memories(resources_of(context), UUID(project_id))


@tasks.periodic(cron="*/5 * * * *")
@tasks.task(name="memory.categorize_left", pass_context=True, queueing_lock="categorize_left", lock="categorize_left")
async def categorize_left_behind(context: JobContext, timestamp: int) -> None:
    """Finds memories that were committed while the last job of their project ended, or that a crash left."""
    del timestamp
    await defer_for_each_project(context, SELECT_UNCATEGORIZED_PROJECTS_SQL, schedule_categorization)
