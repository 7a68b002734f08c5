"""Jobs whose worker died while it ran them. A job with a queueing lock may have a twin that waits meanwhile."""

import uuid
from collections.abc import AsyncIterator
from dataclasses import dataclass

import procrastinate
import psycopg
import pytest_asyncio
from procrastinate.jobs import Status
from psycopg.types.json import Jsonb

from app.adapters.embedded_postgres import EmbeddedPostgres
from app.core.jobs import open_queue, requeue_job, requeue_stalled

INSERT_JOB_SQL = """
insert into jobs.procrastinate_jobs (queue_name, task_name, lock, queueing_lock, status, args, attempts)
values (%s, 'memory.categorize', %s, %s, %s::jobs.procrastinate_job_status, %s, 0) returning id
"""


@dataclass
class StalledQueue:
    """A queue of its own. A job that is `doing` without a worker counts as stalled."""

    name: str
    app: procrastinate.App
    connection: psycopg.AsyncConnection

    async def insert(self, status: str, *, lock: str | None = None, queueing_lock: str | None = None) -> int:
        values = (self.name, lock, queueing_lock, status, Jsonb({}))
        row = await (await self.connection.execute(INSERT_JOB_SQL.encode(), values)).fetchone()
        assert row
        return int(row[0])

    async def states(self) -> dict[int, str]:
        query = "select id, status::text from jobs.procrastinate_jobs where queue_name = %s order by id"
        rows = await (await self.connection.execute(query, (self.name,))).fetchall()
        return {row[0]: row[1] for row in rows}

    async def fetch_all(self) -> list[int | None]:
        """Every job that a worker can start now."""
        worker, fetched = await self.app.job_manager.register_worker(), list[int | None]()
        while job := await self.app.job_manager.fetch_job(queues=[self.name], worker_id=worker):
            fetched.append(job.id)
        return fetched


@pytest_asyncio.fixture
async def queue(postgres: EmbeddedPostgres) -> AsyncIterator[StalledQueue]:
    admin = postgres.url("postgres").replace("+psycopg", "")
    async with (
        open_queue(postgres.url("keepsake_app"), pool_size=2) as app,
        await psycopg.AsyncConnection.connect(admin, autocommit=True, options="-c search_path=jobs") as connection,
    ):
        yield StalledQueue(uuid.uuid4().hex, app, connection)


async def test_requeue_stalled_drops_a_job_whose_twin_waits_and_rescues_the_others(queue: StalledQueue) -> None:
    twinned, alone = f"twinned {queue.name}", f"alone {queue.name}"
    await queue.insert("doing", lock=twinned, queueing_lock=twinned)
    other = await queue.insert("doing", lock=alone)
    twin = await queue.insert("todo", lock=twinned, queueing_lock=twinned)
    assert await queue.fetch_all() == [], "the locks are held"

    assert await requeue_stalled(queue.app) >= 2
    assert await queue.states() == {other: "todo", twin: "todo"}
    assert sorted(filter(None, await queue.fetch_all())) == [other, twin]


async def test_requeue_stalled_keeps_one_of_two_stalled_jobs_with_the_same_queueing_lock(queue: StalledQueue) -> None:
    first = await queue.insert("doing", queueing_lock=queue.name)
    second = await queue.insert("doing", queueing_lock=queue.name)
    await requeue_stalled(queue.app)
    (left,) = await queue.fetch_all()
    assert left in (first, second)
    assert await queue.states() == {left: "doing"}


async def test_requeue_job_skips_a_job_that_its_slow_worker_finished(queue: StalledQueue) -> None:
    await queue.insert("doing")
    (slow,) = await queue.app.job_manager.get_stalled_jobs(queue=queue.name)
    await queue.app.job_manager.finish_job(slow, Status.SUCCEEDED, delete_job=True)
    assert await requeue_job(queue.app, slow) is False
    assert await queue.states() == {}
