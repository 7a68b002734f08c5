"""`.ci/run` installs Node's packages. On other machines the tests that need them may be missing."""

import asyncio
import os
import shutil
from asyncio.subprocess import PIPE
from pathlib import Path

from tests.patience import PATIENCE_SECONDS

EXAMPLES = Path(__file__).parent.parent.parent / "examples"
NODE_EXAMPLES = ("mem0_typescript", "supabase_js")
MISSING = [name for name in NODE_EXAMPLES if not (shutil.which("node") and (EXAMPLES / name / "node_modules").is_dir())]

# CI collects every test, so that a missing package fails there.
collect_ignore = ["test_javascript.py"] if MISSING and not os.environ.get("CI") else []


def pytest_report_header() -> list[str]:
    return [f"examples/{name}: not tested, needs node and `npm ci` in examples/{name}" for name in MISSING]


async def run_example(folder: str, *command: str, **environment: str) -> list[str]:
    """The lines that it prints."""
    process = await asyncio.create_subprocess_exec(
        *command, cwd=EXAMPLES / folder, env={**os.environ, **environment}, stdout=PIPE, stderr=PIPE
    )
    async with asyncio.timeout(PATIENCE_SECONDS):
        output, errors = await process.communicate()
    assert process.returncode == 0, errors.decode()
    return output.decode().splitlines()
