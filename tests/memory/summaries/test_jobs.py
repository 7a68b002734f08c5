"""Folding runs daily for projects that want it, on request for all, and survives an interruption."""

import asyncio
import datetime as dt
import threading
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy.ext.asyncio import AsyncEngine

from app.commands import fold_memories
from app.core.resources import Resources
from app.memory.namespace import Namespace
from app.memory.summaries import FoldOutcome, fold_episodes
from app.memory.summaries.episodes import LOCK_FOLDABLE_SQL
from app.memory.summaries.jobs import MAX_PER_JOB, fold_some, request_folding
from app.settings import Settings
from tests.locks import SELECT_PID_SQL, wait_until_blocked
from tests.memory.namespaces import execute_sql, execute_sql_as_system, wait_until_indexed
from tests.memory.summaries.episodes import GOOD, LONG_AGO, SUMMARY, add_episodes
from tests.memory.summaries.test_fold import load_summaries, wait_for_questions
from tests.model_server import Held, ModelServer, Raw

JOBS = "select args from jobs.procrastinate_jobs where lock = 'fold:' || :project_id"
ENABLE = """update projects set settings = settings || '{"consolidate": true}' where id = :project_id"""


async def test_job_folds_for_projects_that_want_it_a_few_at_a_time(
    folding_resources: Resources, namespace: Namespace, model_server: ModelServer
) -> None:
    resources, project_id = folding_resources, namespace.project_id
    for month in range(MAX_PER_JOB + 1):
        await add_episodes(resources, namespace, at=LONG_AGO - dt.timedelta(days=40 * month))
    model_server.summaries(*[GOOD] * (MAX_PER_JOB + 1))
    assert await fold_some(resources, project_id, 20, on_request=False) == 0
    assert model_server.summarized == []
    await execute_sql(resources, namespace, ENABLE, project_id=project_id)
    assert await fold_some(resources, project_id, 20, on_request=False) == 20 - MAX_PER_JOB
    assert await fold_some(resources, project_id, 20 - MAX_PER_JOB, on_request=False) == 0
    assert [each.content for each in await load_summaries(resources, namespace)] == [SUMMARY] * (MAX_PER_JOB + 1)


async def test_answer_that_cannot_be_used_ends_the_day(
    folding_resources: Resources, namespace: Namespace, model_server: ModelServer
) -> None:
    for month in range(MAX_PER_JOB):
        await add_episodes(folding_resources, namespace, at=LONG_AGO - dt.timedelta(days=40 * month))
    model_server.summaries(*[GOOD] * (MAX_PER_JOB - 1), Raw("No."))
    assert await fold_some(folding_resources, namespace.project_id, 20, on_request=True) == 0
    assert len(await load_summaries(folding_resources, namespace)) == MAX_PER_JOB - 1


async def test_episode_that_changes_meanwhile_does_not_end_the_day(
    folding_resources: Resources, namespace: Namespace, model_server: ModelServer
) -> None:
    for month in range(MAX_PER_JOB):
        ids = await add_episodes(folding_resources, namespace, at=LONG_AGO - dt.timedelta(days=40 * month))
    released = threading.Event()
    model_server.summaries(*[Held(released, GOOD)] * MAX_PER_JOB)
    folding = asyncio.create_task(fold_some(folding_resources, namespace.project_id, 20, on_request=True))
    await wait_for_questions(model_server, 1)
    await execute_sql(folding_resources, namespace, "delete from memories where id = :id", id=ids[0])
    released.set()
    assert await folding == 20 - MAX_PER_JOB, "the next job goes on"
    assert len(await load_summaries(folding_resources, namespace)) >= MAX_PER_JOB - 1


async def test_command_counts_and_asks_a_server(resources: Resources, namespace: Namespace) -> None:
    await add_episodes(resources, namespace)
    project_id = namespace.project_id
    counted = await request_folding(resources.database, project_id, dry_run=True)
    assert counted == {project_id: (1, 5)}
    assert await load_jobs(resources, namespace) == []
    assert await request_folding(resources.database, project_id, dry_run=False) == counted
    assert await load_jobs(resources, namespace) == [{"project_id": str(project_id), "left": 1, "on_request": True}]


async def load_jobs(resources: Resources, namespace: Namespace) -> list[dict[str, Any]]:
    return [row.args for row in await execute_sql_as_system(resources, JOBS, project_id=str(namespace.project_id))]


async def test_fold_that_is_interrupted_leaves_nothing_and_is_done_again(
    folding_resources: Resources, namespace: Namespace, model_server: ModelServer, admin_engine: AsyncEngine
) -> None:
    resources = folding_resources
    ids = await add_episodes(resources, namespace)
    await wait_until_indexed(resources, namespace)  # which changes these rows too
    model_server.summaries(GOOD, GOOD)
    async with resources.database.transaction(namespace.project_id) as tx, admin_engine.connect() as observer:
        await tx.execute(LOCK_FOLDABLE_SQL, {"project_id": namespace.project_id, "ids": ids})
        pid = int(await tx.scalar(SELECT_PID_SQL) or 0)
        folding = asyncio.create_task(fold_episodes(resources, namespace.project_id, most=1))
        await wait_until_blocked(observer, pid, folding)
        assert model_server.summarized
        folding.cancel()
        await asyncio.wait([folding])
    assert await load_summaries(resources, namespace) == []
    assert (await fold_episodes(resources, namespace.project_id, most=1)).outcomes == {FoldOutcome.FOLDED: 1}
    assert len(await load_summaries(resources, namespace)) == 1


async def test_command_without_a_model_says_what_is_missing(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    await fold_memories(Settings(_env_file=None, data_dir=tmp_path), None, dry_run=True)
    assert "Summaries need a language model, and none is set." in capsys.readouterr().out
