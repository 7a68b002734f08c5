"""The commands of the skill for agents, as an agent runs them."""

import asyncio
import json
import re
from asyncio.subprocess import PIPE
from typing import Any

from app.gateways.mcp.tools import TOOLS_BY_NAME
from tests.conftest import KeyHolder
from tests.examples.conftest import EXAMPLES
from tests.patience import PATIENCE_SECONDS

SKILL = EXAMPLES.parent / "skills" / "keepsake" / "SKILL.md"
COMMANDS = re.findall(r"```sh\n(.*?)```", SKILL.read_text(), re.DOTALL)
TOOLS = ("search_memories", "add_memory", "forget", "start_session")


async def run(command: str, **environment: str) -> Any:
    variables = {"PATH": "/usr/bin:/bin:/usr/local/bin", "KEEPSAKE_USER": "anna", **environment}
    process = await asyncio.create_subprocess_exec("sh", "-c", command, env=variables, stdout=PIPE, stderr=PIPE)
    async with asyncio.timeout(PATIENCE_SECONDS):
        output, errors = await process.communicate()
    assert process.returncode == 0, errors.decode()
    return json.loads(output)


async def test_commands_of_the_skill_run(server_url: str, key_holder: KeyHolder) -> None:
    search, add, forget = COMMANDS
    access = {"KEEPSAKE_URL": server_url, "KEEPSAKE_API_KEY": key_holder.key}
    assert (await run(search, **access))["answerable"] is False
    added = await run(add, **access)
    (found,) = (await run(search, **access))["results"]
    assert found == {"id": added["results"][0]["id"], "memory": "I live in Lisbon since May."}
    assert (await run(forget, **access, MEMORY_ID=found["id"]))["message"] == "Memory deleted successfully!"
    assert (await run(search, **access))["results"] == []


def test_skill_names_tools_that_exist() -> None:
    text = SKILL.read_text()
    assert all(f"`{name}`" in text and name in TOOLS_BY_NAME for name in TOOLS)
    head = text.split("---")[1]
    assert re.search(r"^name: keepsake$", head, re.MULTILINE)
    assert re.search(r"^description: .{50,1000}$", head, re.MULTILINE)
