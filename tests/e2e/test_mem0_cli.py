"""mem0's own command line, from PyPI and unchanged, against a server of ours: every command that talks to one."""

import asyncio
import json
import os
import subprocess
import sys
from collections.abc import AsyncIterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest_asyncio

from tests.conftest import MakeKey

MEM0 = Path(sys.executable).parent / "mem0"


@dataclass(frozen=True)
class CommandLine:
    environment: dict[str, str]

    async def __call__(self, *words: str) -> Any:
        """What it prints, read as JSON."""
        done = await self.run(*words, "--output", "json")
        assert done.returncode == 0, done.stdout + done.stderr
        return json.loads(done.stdout)

    async def run(self, *words: str) -> subprocess.CompletedProcess[str]:
        return await asyncio.to_thread(
            subprocess.run,
            [str(MEM0), *words],
            env=self.environment,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            timeout=60,
        )

    async def add(self, text: str, *words: str) -> str:
        added = await self("add", text, "--no-infer", "--user-id", "alice", *words)
        return str(first(added)["id"])

    async def texts(self, *words: str) -> set[str]:
        return {each["memory"] for each in many(await self("list", "--user-id", "alice", *words))}


def many(printed: Any) -> list[dict[str, Any]]:
    """With or without a frame around it: commands differ."""
    framed = printed.get("results", printed.get("data")) if isinstance(printed, dict) else printed
    found: list[dict[str, Any]] = framed
    return found


def first(printed: Any) -> dict[str, Any]:
    return many(printed)[0]


@pytest_asyncio.fixture
async def mem0(url: str, make_key: MakeKey, tmp_path: Path) -> AsyncIterator[CommandLine]:
    key = await make_key()
    home = {"HOME": str(tmp_path), "PATH": os.environ["PATH"], "COLUMNS": "200", "MEM0_TELEMETRY": "false"}
    yield CommandLine({**home, "MEM0_API_KEY": key.key, "MEM0_BASE_URL": url})


async def test_it_finds_the_server(mem0: CommandLine) -> None:
    assert (await mem0("status"))["data"]["connected"]
    stranger = CommandLine({**mem0.environment, "MEM0_API_KEY": "m0-nonsense"})
    done = await stranger.run("list", "--user-id", "alice")
    assert done.returncode == 1
    assert "Invalid or expired API key" in done.stdout + done.stderr


async def test_what_is_added_word_for_word_is_found_read_changed_and_deleted(mem0: CommandLine) -> None:
    tea = await mem0.add("I like tea", "--metadata", '{"source": "kitchen"}', "--expires", "2099-01-01")
    await mem0.add("I live in Rome")
    found = first(await mem0("search", "What do I drink?", "--user-id", "alice", "--threshold", "0", "--top-k", "1"))
    assert (found["id"], found["metadata"], found["expiration_date"]) == (tea, {"source": "kitchen"}, "2099-01-01")

    await mem0("update", tea, "I like green tea", "--metadata", '{"source": "bar"}')
    read = await mem0("get", tea)
    assert (read["memory"], read["metadata"]) == ("I like green tea", {"source": "bar"})

    await mem0("delete", tea, "--force")
    assert await mem0.texts() == {"I live in Rome"}
    gone = await mem0.run("get", tea)
    assert gone.returncode == 1
    assert "not found" in gone.stdout + gone.stderr


async def test_what_is_to_be_understood_becomes_an_event(mem0: CommandLine) -> None:
    queued = await mem0("add", "I play the cello", "--user-id", "alice")
    event_id = queued[0]["event_id"]
    async with asyncio.timeout(30):
        while (await mem0("event", "status", event_id))["status"] != "SUCCEEDED":  # noqa: ASYNC110 - another process
            await asyncio.sleep(0.1)
    assert event_id in {each["id"] for each in await mem0("event", "list")}
    assert await mem0.texts() == {"I play the cello"}


async def test_lists_have_pages_and_conditions(mem0: CommandLine) -> None:
    for number in range(5):
        await mem0.add(f"I know song number {number}", *(["--run-id", "night"] if number == 4 else []))
    pages = [await mem0.texts("--page-size", "2", "--page", str(page)) for page in (1, 2, 3)]
    assert [len(page) for page in pages] == [2, 2, 1]
    assert len(set().union(*pages)) == 5
    assert await mem0.texts("--run-id", "night") == {"I know song number 4"}
    assert await mem0.texts("--after", "2099-01-01") == set()
    assert len(await mem0.texts("--before", "2099-01-01")) == 5


async def test_a_file_is_imported(mem0: CommandLine, tmp_path: Path) -> None:
    file = tmp_path / "memories.json"
    file.write_text(json.dumps([{"memory": f"I own book number {n}", "metadata": {"n": n}} for n in range(3)]))
    done = await mem0.run("import", str(file), "--user-id", "alice")
    assert done.returncode == 0, done.stdout + done.stderr
    async with asyncio.timeout(30):
        while len(await mem0.texts()) < 3:  # noqa: ASYNC110 - as above
            await asyncio.sleep(0.1)


async def test_entities_are_listed_and_deleted(mem0: CommandLine) -> None:
    await mem0.add("I like tea")
    await mem0("add", "I like jazz", "--no-infer", "--agent-id", "dj")
    assert [each["name"] for each in await mem0("entity", "list", "users")] == ["alice"]
    assert [each["name"] for each in await mem0("entity", "list", "agents")] == ["dj"]
    await mem0("entity", "delete", "--user-id", "alice", "--force")
    assert await mem0("entity", "list", "users") == []
    assert [each["name"] for each in await mem0("entity", "list", "agents")] == ["dj"]


async def test_everything_of_somebody_is_deleted_and_then_everything(mem0: CommandLine) -> None:
    await mem0.add("I like tea")
    await mem0("add", "I like milk", "--no-infer", "--user-id", "ben")
    await mem0("delete", "--all", "--user-id", "alice", "--force")
    assert await mem0.texts() == set()
    assert len(many(await mem0("search", "milk", "--user-id", "ben", "--threshold", "0"))) == 1
    await mem0("delete", "--all", "--project", "--force")
    assert many(await mem0("search", "milk", "--user-id", "ben", "--threshold", "0")) == []
