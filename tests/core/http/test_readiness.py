"""The status of /v1/ready follows from checks and background tasks."""

import asyncio
from dataclasses import replace
from typing import Any

import pytest

from app.core.background_tasks import SupervisedTask, TaskState
from app.core.http.status_reports import TaskReport
from app.core.resources import Check, Resources
from app.main import create_app
from tests.conftest import open_client
from tests.patience import PATIENCE_SECONDS


async def idle() -> None:
    await asyncio.Event().wait()


async def succeed() -> bool:
    return True


async def ready(resources: Resources) -> tuple[int, dict[str, Any]]:
    async with open_client(create_app(resources)) as client:
        response = await client.get("/v1/ready")
    return response.status_code, response.json()


def watched(resources: Resources, task: SupervisedTask) -> Resources:
    return replace(resources, supervised_tasks=[task], checks={"database": succeed}, essential=frozenset({"database"}))


async def test_readiness_names_tasks_with_the_age_of_their_last_sign_of_life(resources: Resources) -> None:
    task = SupervisedTask("idle", idle, silent_after_seconds=60)
    await asyncio.sleep(0.1)
    status, body = await ready(watched(resources, task))
    assert status == 200
    assert body["tasks"].keys() == {"idle"}
    report = TaskReport.model_validate(body["tasks"]["idle"])
    assert (report.state, report.restarts) == (TaskState.RUNNING, 0)
    assert 0 < report.silent_seconds <= 60


async def test_readiness_is_503_while_a_task_is_silent(resources: Resources) -> None:
    task = SupervisedTask("idle", idle, silent_after_seconds=0)
    status, body = await ready(watched(resources, task))
    assert (status, body["status"]) == (503, "not ready")
    assert body["tasks"]["idle"]["state"] == "silent"


async def test_readiness_is_503_while_a_task_is_down(resources: Resources) -> None:
    async def end() -> None:
        return

    task = SupervisedTask("ends", end, silent_after_seconds=60, first_pause_seconds=20)
    task.start()
    await asyncio.sleep(0.05)
    status, body = await ready(watched(resources, task))
    await task.stop()
    assert status == 503
    report = TaskReport.model_validate(body["tasks"]["ends"])
    assert (report.state, report.restarts) == (TaskState.RESTARTING, 1)


async def hang() -> bool:
    await asyncio.Event().wait()
    return True


async def fail() -> bool:
    raise OSError("no route to host")


@pytest.mark.parametrize("check", [hang, fail])
async def test_readiness_reports_a_check_that_hangs_or_fails(resources: Resources, check: Check) -> None:
    checks: dict[str, Check] = {"database": succeed, "language_model": check}
    own = replace(resources, checks=checks, essential=frozenset({"database"}))
    async with open_client(create_app(own)) as client, asyncio.timeout(PATIENCE_SECONDS):
        response = await client.get("/v1/ready")
    assert (response.status_code, response.json()["status"]) == (200, "degraded")
    assert response.json()["checks"] == {"database": "ok", "language_model": "unavailable"}
