"""Background work. A job is written in the caller's transaction: it exists if and only if the data does."""

from typing import Any

import procrastinate
from procrastinate.tasks import Task
from sqlalchemy.ext.asyncio import AsyncSession

# Never opened: it carries the tasks, and writes jobs on connections that it is handed.
tasks = procrastinate.App(connector=procrastinate.PsycopgConnector())
JobContext = procrastinate.JobContext
RetryDecision = procrastinate.RetryDecision


async def defer(
    tx: AsyncSession,
    task: Task[Any, Any, Any],
    *,
    lock: str | None = None,
    queueing_lock: str | None = None,
    in_seconds: float = 0,
    **arguments: Any,
) -> int:
    """Write a job. Jobs that share a lock run one at a time, in order. Arguments are ids, never content."""
    connection = await (await tx.connection()).get_raw_connection()
    delay: Any = {"schedule_in": {"seconds": in_seconds}} if in_seconds else {}
    deferrer = task.configure(connection=connection.driver_connection, lock=lock, queueing_lock=queueing_lock, **delay)
    return await deferrer.defer_async(**arguments)


def queue(url: str, *, pool_size: int) -> procrastinate.App:
    """The queue as a worker sees it: all tasks of the house, on connections of its own."""
    connector = procrastinate.PsycopgConnector(
        conninfo=url.replace("postgresql+psycopg://", "postgresql://", 1),
        min_size=1,
        max_size=pool_size,
        kwargs={"options": "-c role=keepsake_system -c search_path=jobs"},
    )
    return tasks.with_connector(connector)
