"""The worker must know every background task, and the documentation must name it. It stops when it is told to."""

import asyncio
import re
from pathlib import Path

from app.core.jobs import open_queue, tasks
from app.core.resources import Resources
from app.worker import DEFAULT_QUEUE, JOB_MODULES, QueueWorker

ROOT = Path(__file__).parent.parent
TASK_DECORATOR = re.compile(r"^@tasks\.task\(", re.MULTILINE)
TABLE = re.compile(r"<!-- tasks -->(.*?)<!-- /tasks -->", re.DOTALL)


def registered_tasks() -> dict[str, str]:
    """The name of every task of ours, and the module of its function."""
    return {task.name: task.func.__module__ for task in tasks.tasks.values() if task.func.__module__.startswith("app.")}


def test_modules_with_tasks_are_named_jobs_and_known_to_the_worker() -> None:
    files = [path for path in sorted((ROOT / "app").rglob("*.py")) if TASK_DECORATOR.search(path.read_text())]
    modules = [".".join(path.relative_to(ROOT).with_suffix("").parts) for path in files]
    assert [module for module in modules if not module.endswith(".jobs")] == []
    assert sorted(module.__name__ for module in JOB_MODULES) == modules


def test_every_registered_task_is_defined_in_a_job_module() -> None:
    assert set(registered_tasks().values()) == {module.__name__ for module in JOB_MODULES}


def test_architecture_page_lists_every_task_with_its_file() -> None:
    (table,) = TABLE.findall((ROOT / "docs" / "architecture.md").read_text())
    listed = dict(re.findall(r"^\| `([a-z_.]+)` \|.*\| `(app/[a-z0-9_/]+\.py)` \|$", table, re.MULTILINE))
    assert listed == {name: module.replace(".", "/") + ".py" for name, module in registered_tasks().items()}


async def test_worker_that_is_cancelled_while_it_starts_ends(resources: Resources) -> None:
    """One cancellation is enough, wherever it arrives. A lost one kept a server from stopping for eight seconds."""
    for thousandths in range(30):
        async with open_queue(resources.database.url, pool_size=14) as queue:
            workers = [QueueWorker("jobs", queue, DEFAULT_QUEUE, resources, 1, 0.2) for _ in range(3)]
            working = [asyncio.create_task(each._work()) for each in workers]
            await asyncio.sleep(thousandths / 1000)
            for each in working:
                each.cancel()
            await asyncio.wait(working, timeout=30)
            assert all(each.cancelled() for each in working), f"cancelled after {thousandths} ms"
