"""mem0's client from npm, unchanged, in a process of its own, over HTTP on loopback."""

import asyncio
import json
import os
from asyncio.subprocess import PIPE
from pathlib import Path

from fastapi import FastAPI

from app.core.resources import Resources
from app.worker import run_jobs
from tests.conftest import MakeKey
from tests.e2e.conftest import MEM0_JS, MEM0_READY
from tests.e2e.loopback import with_failing_index, with_request_limit
from tests.loopback import serve_on_loopback


async def run(script: str, *arguments: str, folder: Path) -> tuple[set[str], set[str]]:
    """The methods it called, and all that the client has."""
    assert MEM0_READY, "node and its packages are missing: run `npm ci` in tests/e2e/mem0_js"
    environment = {**os.environ, "MEM0_TELEMETRY": "false", "MEM0_DIR": str(folder)}
    command = ("node", script, *arguments)
    node = await asyncio.create_subprocess_exec(*command, cwd=MEM0_JS, env=environment, stdout=PIPE, stderr=PIPE)
    said, complaint = await node.communicate()
    assert node.returncode == 0, complaint.decode()
    noted = json.loads(said)
    return set(noted["called"]), set(noted["methods"])


async def test_javascript_client_supports_every_call(
    app: FastAPI, resources: Resources, make_key: MakeKey, tmp_path: Path
) -> None:
    keys = [(await make_key()).key, (await make_key("memories:read", "projects:read")).key]
    async with (
        serve_on_loopback(app) as url,
        serve_on_loopback(with_request_limit(resources, requests=4)) as limited,
        serve_on_loopback(with_failing_index(resources)) as failing,
        run_jobs(resources, concurrency=1, poll_seconds=0.05),
    ):
        memories, methods = await run("memories.mjs", url, *keys, limited, folder=tmp_path)
        platform, _ = await run("platform.mjs", url, *keys, failing, folder=tmp_path)
    assert len(methods) > 25, "the list of methods itself must be right"
    assert methods - memories - platform == set()
