"""mem0's client from npm, unchanged, in a process of its own, over HTTP on loopback."""

import asyncio
import os
from asyncio.subprocess import PIPE
from pathlib import Path

from fastapi import FastAPI

from app.core.resources import Resources
from app.worker import run_jobs
from tests.conftest import MakeKey
from tests.e2e.conftest import MEM0_JS, MEM0_READY
from tests.e2e.loopback import serving, strict


async def test_every_memory_call_of_the_javascript_client(
    app: FastAPI, resources: Resources, make_key: MakeKey, tmp_path: Path
) -> None:
    assert MEM0_READY, "node and its packages are missing: run `npm ci` in tests/e2e/mem0_js"
    keys = [await make_key(), await make_key("memories:read")]
    environment = {**os.environ, "MEM0_TELEMETRY": "false", "MEM0_DIR": str(tmp_path)}
    async with (
        serving(app) as url,
        serving(strict(resources, requests=4)) as limited,
        run_jobs(resources, concurrency=1),
    ):
        command = ("node", "memories.mjs", url, *(key.key for key in keys), limited)
        node = await asyncio.create_subprocess_exec(*command, cwd=MEM0_JS, env=environment, stdout=PIPE, stderr=PIPE)
        said, complaint = await node.communicate()
    assert said.decode().split() == ["done"], complaint.decode()
