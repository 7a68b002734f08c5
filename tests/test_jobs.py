"""The worker must know every background task, and the documentation must name it."""

import re
from pathlib import Path

from app.core.jobs import tasks
from app.worker import JOB_MODULES

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
