"""Integrations of mem0 from the registries, unchanged, against one server on loopback. Each runs in its own process."""

import asyncio
import json
from asyncio.subprocess import PIPE
from collections.abc import Sequence
from pathlib import Path

from tests.conftest import KeyHolder
from tests.e2e.conftest import ENVIRONMENTS, MEM0_1, MEM0_2, MEM0_NODES
from tests.model_server import ModelServer

PYTHON_SCRIPT = "integrations.py"


async def run_script(command: Sequence[str | Path], folder: Path) -> dict[str, list[str]]:
    """What the script used of each integration. It asserts what came of it."""
    child = await asyncio.create_subprocess_exec(*command, cwd=folder, stdout=PIPE, stderr=PIPE)
    printed, complaint = await child.communicate()
    assert child.returncode == 0, complaint.decode()
    used: dict[str, list[str]] = json.loads(printed.splitlines()[-1])
    return used


async def test_agno_and_autogen_with_mem0_1(server_url: str, key_holder: KeyHolder) -> None:
    python = ENVIRONMENTS / "mem0_1" / "bin" / "python"
    used = await run_script((python, "-W", "ignore", PYTHON_SCRIPT, server_url, key_holder.key), MEM0_1)
    assert used == {
        "agno": ["add_memory", "delete_all_memories", "get_all_memories", "search_memory"],
        "autogen-ext": ["add", "clear", "close", "query", "update_context"],
    }


async def test_strands_haystack_and_pipecat(server_url: str, key_holder: KeyHolder) -> None:
    python = ENVIRONMENTS / "mem0_2" / "bin" / "python"
    used = await run_script((python, "-W", "ignore", PYTHON_SCRIPT, server_url, key_holder.key), MEM0_2)
    assert used.keys() == {"mem0-strands", "mem0-haystack", "pipecat"}
    assert used["mem0-strands"] == ["add", "add_messages", "search"]
    assert len(used["mem0-haystack"]) == 5
    assert used["pipecat"] == ["get_memories", "process_frame"]


async def test_vercel_provider_and_n8n_node(server_url: str, key_holder: KeyHolder, model_server: ModelServer) -> None:
    script = ("node", "integrations.mjs", server_url, key_holder.key, model_server.url)
    used = await run_script(script, MEM0_NODES)
    assert len(used["vercel-ai-provider"]) == 6
    assert used["n8n"] == ["add", "delete", "get", "getAll", "search", "update"]
    prompts = [str(request.body) for request in model_server.requests]
    assert [("Memory: I work as a carpenter" in prompt) for prompt in prompts] == [True, True]
