"""mem0's own command line, from PyPI and unchanged, against a server of ours: every command that talks to one."""

import asyncio
import json
import os
import subprocess
import sys
import uuid
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import pytest
import pytest_asyncio

from app.core.resources import Resources
from tests.conftest import MakeKey, SignUp
from tests.e2e.loopback import with_request_limit
from tests.loopback import serve_on_loopback

HERS = ("--user-id", "alice")


@dataclass(frozen=True)
class Said:
    code: int
    out: str
    err: str

    @property
    def json(self) -> Any:
        return json.loads(self.out)


@dataclass(frozen=True)
class Launcher:
    """The process that runs the commands, one at a time."""

    process: subprocess.Popen[str]
    folder: Path

    def run(self, words: tuple[str, ...], environment: dict[str, str]) -> Said:
        assert self.process.stdin
        assert self.process.stdout
        out, err = self.folder / "out", self.folder / "err"
        request = {"words": words, "environment": environment, "out": str(out), "err": str(err)}
        print(json.dumps(request), file=self.process.stdin, flush=True)
        code = int(self.process.stdout.readline())
        return Said(code, out.read_text(), err.read_text())


@dataclass(frozen=True)
class Mem0Cli:
    """The command with its own home folder, so that it touches no real settings."""

    home: Path
    url: str
    key: str
    launcher: Launcher

    async def __call__(self, *words: str, **environment: str) -> Said:
        own = {"HOME": str(self.home), "COLUMNS": "200", "MEM0_TELEMETRY": "false"}
        own |= {"MEM0_BASE_URL": self.url, "MEM0_API_KEY": self.key, "PATH": os.environ["PATH"], **environment}
        return await asyncio.to_thread(self.launcher.run, words, own)

    async def done(self, *words: str) -> Any:
        """The results inside the envelope of the option --json."""
        said = await self(*words, "--json")
        assert (said.code, said.json["status"]) == (0, "success"), said
        return said.json["data"]

    async def refused(self, *words: str) -> str:
        said = await self(*words)
        assert said.code == 1, said
        return " ".join(said.err.split())

    async def add_verbatim(self, text: str, *more: str) -> str:
        """Stores one memory verbatim."""
        return str((await self.done("add", text, "--no-infer", *(more or HERS)))[0]["id"])

    async def list_texts(self, *scope: str) -> list[str]:
        return [row["memory"] for row in await self.done("list", *(scope or HERS))]

    async def wait_until_ended(self, event_id: str) -> Any:
        """Polls the event until it ends."""
        for _ in range(50):
            event = await self.done("event", "status", event_id)
            if event["status"] in ("SUCCEEDED", "FAILED"):
                return event
        raise AssertionError("the event never ended")


@pytest.fixture(scope="module")
def launcher(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Launcher]:
    command = [sys.executable, str(Path(__file__).parent / "mem0_cli_launcher.py")]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as process:
        yield Launcher(process, tmp_path_factory.mktemp("launcher"))


@pytest_asyncio.fixture
async def mem0_cli(server_url: str, make_key: MakeKey, tmp_path: Path, launcher: Launcher) -> Mem0Cli:
    return Mem0Cli(tmp_path, server_url, (await make_key()).key, launcher)


# ---------------------------------------------------------------- connection


async def test_status_reports_connected(mem0_cli: Mem0Cli) -> None:
    connected = {"connected": True, "backend": "platform", "base_url": mem0_cli.url}
    assert await mem0_cli.done("status") == connected
    assert "Connected" in (await mem0_cli("status")).out


async def test_init_writes_a_sufficient_configuration(mem0_cli: Mem0Cli) -> None:
    made = await mem0_cli("init", "--api-key", mem0_cli.key, "--user-id", "alice", MEM0_API_KEY="")
    assert "Connected to mem0 Platform!" in made.out, made
    added = await mem0_cli("add", "I like tea", "--no-infer", MEM0_API_KEY="", MEM0_BASE_URL="")
    assert added.code == 0, added
    assert await mem0_cli.list_texts() == ["I like tea"]


async def test_cli_accepts_an_access_token_as_its_key(mem0_cli: Mem0Cli, sign_up: SignUp) -> None:
    ana = await sign_up()
    hers = replace(mem0_cli, key=ana.tokens["access_token"])
    said = await hers("add", "I like tea", "--no-infer")
    assert said.code == 0, said
    assert [row["memory"] for row in await hers.done("list")] == ["I like tea"]


# ---------------------------------------------------------------- add


async def test_add_is_queued_and_its_event_lists_the_memories(mem0_cli: Mem0Cli) -> None:
    (queued,) = await mem0_cli.done("add", "I am allergic to peanuts.", *HERS, "--metadata", '{"topic": "health"}')
    assert queued["status"] == "PENDING"
    event = await mem0_cli.wait_until_ended(queued["event_id"])
    assert (event["status"], event["event_type"]) == ("SUCCEEDED", "ADD")
    (result,) = event["results"]
    assert (result["event"], result["memory"]) == ("ADD", "I am allergic to peanuts.")
    assert (await mem0_cli.done("get", result["id"]))["metadata"] == {"topic": "health"}
    assert "I am allergic to peanuts." in (await mem0_cli("event", "status", queued["event_id"])).out
    assert queued["event_id"] in [row["id"] for row in await mem0_cli.done("event", "list")]
    assert "SUCCEEDED" in (await mem0_cli("event", "list")).out


async def test_add_takes_messages_from_an_option_and_from_a_file(mem0_cli: Mem0Cli) -> None:
    said = [{"role": "user", "content": "I like tea"}, {"role": "assistant", "content": "So do I"}]
    file = mem0_cli.home / "said.json"
    file.write_text(json.dumps(said))
    await mem0_cli.done("add", "--messages", json.dumps(said), "--no-infer", *HERS)
    await mem0_cli.done("add", "--file", str(file), "--no-infer", "--user-id", "bob")
    assert (
        sorted(await mem0_cli.list_texts())
        == sorted(await mem0_cli.list_texts("-u", "bob"))
        == ["I like tea", "So do I"]
    )


@pytest.mark.long
async def test_add_stores_metadata_and_options(mem0_cli: Mem0Cli) -> None:
    ids = ("--user-id", "alice", "--agent-id", "a1", "--app-id", "app", "--run-id", "r1")
    about = ("--expires", "2999-12-31", "--timestamp", "1735689600", "--immutable", "--metadata", '{"n": 1}')
    categories = ("--custom-categories", '[{"drinks": "What is drunk"}]')
    taught = ("--custom-instructions", "Only drinks", "--agent-custom-instructions", "None")
    shaped = ("--structured-data-schema", '{"type": "object"}')
    kept = await mem0_cli.add_verbatim("I like tea", *ids, *about, *categories, *taught, *shaped)
    memory = (await mem0_cli("get", kept, "--output", "json")).json
    assert (memory["user_id"], memory["agent_id"], memory["app_id"], memory["run_id"]) == ("alice", "a1", "app", "r1")
    assert (memory["expiration_date"], memory["metadata"]) == ("2999-12-31", {"n": 1})
    assert memory["created_at"].startswith("2025-01-01T00:00:00")
    assert "stored as immutable" in await mem0_cli.refused("update", kept, "I like coffee")


async def test_import_stores_one_memory_per_line(mem0_cli: Mem0Cli) -> None:
    rows = [{"memory": "I am allergic to peanuts.", "user_id": "alice", "metadata": {"n": 1}}]
    rows += [{"text": "I work as a carpenter.", "user_id": "alice"}, {"content": "I live in Oslo.", "user_id": "bob"}]
    file = mem0_cli.home / "memories.json"
    file.write_text(json.dumps([*rows, {"user_id": "alice"}]))
    assert await mem0_cli.done("import", str(file)) == {"added": 3, "failed": 1}
    for row in await mem0_cli.done("event", "list"):
        assert (await mem0_cli.wait_until_ended(row["id"]))["status"] == "SUCCEEDED"
    assert sorted(await mem0_cli.list_texts()) == ["I am allergic to peanuts.", "I work as a carpenter."]
    assert await mem0_cli.list_texts("-u", "bob") == ["I live in Oslo."]


# ---------------------------------------------------------------- read


@pytest.mark.long
async def test_search_finds_by_meaning_with_a_score(mem0_cli: Mem0Cli) -> None:
    for text in ("I am allergic to peanuts", "I work as a carpenter", "My sister lives in Oslo"):
        await mem0_cli.add_verbatim(text)
    (found,) = await mem0_cli.done("search", "What am I allergic to?", *HERS, "--top-k", "1")
    assert found["memory"] == "I am allergic to peanuts"
    assert 0.3 <= found["score"] <= 1
    asked = ("search", "carpenter", *HERS, "--threshold", "0", "--limit", "1", "--rerank", "--keyword")
    more = ("--show-expired", "--latest-only", "--reference-date", "2030-01-01", "--fields", "id,memory,score")
    (only,) = (await mem0_cli(*asked, *more, "--output", "json")).json
    assert (only["memory"], only.keys()) == ("I work as a carpenter", {"id", "memory", "score"})
    for output in ("text", "table"):
        assert "I work as a carpenter" in (await mem0_cli("search", "carpenter", *HERS, "--output", output)).out
    assert "No memories found" in (await mem0_cli("search", "carpenter", "--user-id", "nobody")).out


@pytest.mark.long
async def test_filters_are_passed_through_to_the_server(mem0_cli: Mem0Cli) -> None:
    await mem0_cli.add_verbatim("I like tea", *HERS, "--metadata", '{"topic": "drink"}')
    await mem0_cli.add_verbatim("I like bread")
    drinks = json.dumps({"AND": [{"user_id": "alice"}, {"metadata": {"topic": "drink"}}]})
    found = await mem0_cli.done("search", "What do I like?", "--threshold", "0", "--filter", drinks)
    assert [row["memory"] for row in found] == ["I like tea"]
    topic = json.dumps({"metadata": {"topic": "drink"}})
    narrowed = await mem0_cli.done("search", "What do I like?", *HERS, "--threshold", "0", "--filter", topic)
    assert [row["memory"] for row in narrowed] == ["I like tea"]
    assert "Unknown filter field" in await mem0_cli.refused("search", "tea", *HERS, "--filter", '{"colour": "red"}')


async def test_list_supports_filters_and_pages(mem0_cli: Mem0Cli) -> None:
    await mem0_cli.add_verbatim("Old", *HERS, "--timestamp", "1735689600")
    await mem0_cli.add_verbatim("New", *HERS, "--run-id", "r1")
    assert await mem0_cli.list_texts(*HERS, "--before", "2025-12-31") == ["Old"]
    assert await mem0_cli.list_texts(*HERS, "--after", "2025-12-31") == ["New"]
    assert await mem0_cli.list_texts(*HERS, "--run-id", "r1", "--show-expired", "--latest-only") == ["New"]
    pages = [await mem0_cli.list_texts(*HERS, "--page", page, "--page-size", "1") for page in ("1", "2")]
    assert sorted(pages) == [["New"], ["Old"]]
    assert await mem0_cli.list_texts(*HERS, "--category", "travel") == []
    for output in ("text", "table"):
        assert "Old" in (await mem0_cli("list", *HERS, "--output", output)).out


async def test_entities_list_everyone_named_by_a_memory(mem0_cli: Mem0Cli) -> None:
    await mem0_cli.add_verbatim("I like tea", *HERS, "--agent-id", "a1", "--app-id", "app", "--run-id", "r1")
    for kind, name in (("users", "alice"), ("agents", "a1"), ("apps", "app"), ("runs", "r1")):
        assert [row["name"] for row in await mem0_cli.done("entity", "list", kind)] == [name]
    assert "alice" in (await mem0_cli("entity", "list", "users")).out


# ---------------------------------------------------------------- change and delete


async def test_memories_can_be_updated_and_deleted(mem0_cli: Mem0Cli) -> None:
    kept = await mem0_cli.add_verbatim("I like tea")
    changed = await mem0_cli.done("update", kept, "I like coffee", "--expires", "2999-12-31")
    assert changed == {"id": kept, "memory": "I like coffee", "expiration_date": "2999-12-31"}
    await mem0_cli.done("update", kept, "--metadata", '{"n": 2}', "--timestamp", "1735689600")
    memory = await mem0_cli.done("get", kept)
    assert (memory["memory"], memory["metadata"]) == ("I like coffee", {"n": 2})
    assert "I like coffee" in (await mem0_cli("get", kept)).out
    assert "No changes made" in (await mem0_cli("delete", kept, "--dry-run")).out
    assert (await mem0_cli("delete", kept, "--output", "json")).json == {"message": "Memory deleted successfully!"}
    linked = await mem0_cli.add_verbatim("I hike")
    assert await mem0_cli.done("delete", linked, "--delete-linked") == {"id": linked, "deleted": True}
    assert await mem0_cli.list_texts() == []


async def test_delete_all_deletes_the_intersection_of_its_ids(mem0_cli: Mem0Cli) -> None:
    await mem0_cli.add_verbatim("Only hers")
    await mem0_cli.add_verbatim("Hers in the run", *HERS, "--run-id", "r1")
    await mem0_cli.add_verbatim("His in the run", "--user-id", "bob", "--run-id", "r1")
    assert "Would delete 1 memory" in (await mem0_cli("delete", "--all", *HERS, "--run-id", "r1", "--dry-run")).out
    said = await mem0_cli("delete", "--all", *HERS, "--run-id", "r1", "--force")
    assert "Deletion started" in said.out
    assert (await mem0_cli.list_texts(), await mem0_cli.list_texts("-u", "bob")) == (["Only hers"], ["His in the run"])


async def test_delete_all_of_a_project_leaves_no_memory(mem0_cli: Mem0Cli) -> None:
    await mem0_cli.add_verbatim("Hers")
    await mem0_cli.add_verbatim("His in the run", "--user-id", "bob", "--run-id", "r1")
    await mem0_cli.add_verbatim("The agent's", "--agent-id", "a1")
    assert await mem0_cli.done("delete", "--all", "--project", "--force") == {"deleted": True, "scope": "project"}
    left = [await mem0_cli.list_texts(*scope) for scope in (HERS, ("-u", "bob"), ("--agent-id", "a1"))]
    assert left == [[], [], []]


@pytest.mark.parametrize("command", [("entity", "delete"), ("delete", "--entity")], ids=" ".join)
async def test_deleting_an_entity_deletes_its_memories(mem0_cli: Mem0Cli, command: tuple[str, ...]) -> None:
    for who in ("team/alice", "bob"):
        await mem0_cli.add_verbatim(f"I am {who}", "--user-id", who, "--agent-id", f"agent of {who}")
    named = ("--user-id", "team/alice", "--agent-id", "agent of team/alice")
    assert "No changes made" in (await mem0_cli(*command, *named, "--dry-run")).out
    said = await mem0_cli(*command, *named, "--force")
    assert (said.code, "Entity deleted with all memories" in said.out) == (0, True), said
    assert [row["name"] for row in await mem0_cli.done("entity", "list", "users")] == ["bob"]


# ---------------------------------------------------------------- refusals


async def test_wrong_key_is_reported(mem0_cli: Mem0Cli) -> None:
    stranger = replace(mem0_cli, key="m0-nonsense")
    assert "Invalid or expired API key" in await stranger.refused("list", *HERS)
    assert "Invalid or expired API key" in await stranger.refused("status")


@pytest.mark.long
async def test_errors_reach_the_client_as_our_sentences(mem0_cli: Mem0Cli) -> None:
    unknown = str(uuid.uuid4())
    refusals = [
        (("list",), "Filters must name"),
        (("search", "tea"), "Filters must name"),
        (("search", "tea", *HERS, "--top-k", "1001"), "top_k"),
        (("list", *HERS, "--page-size", "1001"), "between 1 and 1000"),
        (("list", *HERS, "--after", "yesterday"), "created_at"),
        (("add", "hi"), "This memory has no owner"),
        (("add", "hi", *HERS, "--custom-categories", '["drinks"]'), "custom_categories"),
        (("get", "nonsense"), "Bad request"),
        (("delete", "nonsense"), "Bad request"),
        (("delete", "--all", "--force"), "Bad request"),
        (("get", unknown), "Resource not found"),
        (("update", unknown, "hi"), "Resource not found"),
        (("delete", unknown), "Resource not found"),
        (("event", "status", unknown), "Resource not found"),
        (("event", "status", "nonsense"), "Bad request"),
    ]
    for words, sentence in refusals:
        assert sentence in await mem0_cli.refused(*words), words


async def test_key_without_scope_cannot_write(mem0_cli: Mem0Cli, make_key: MakeKey) -> None:
    reader = replace(mem0_cli, key=(await make_key("memories:read")).key)
    assert await reader.list_texts() == []
    assert "403" in await reader.refused("delete", str(uuid.uuid4()))


@pytest.mark.long
async def test_rate_limit_is_reported(mem0_cli: Mem0Cli, resources: Resources) -> None:
    async with serve_on_loopback(with_request_limit(resources, requests=2)) as url:
        hurried = replace(mem0_cli, url=url)
        assert await hurried.list_texts() == []
        assert "429" in await hurried.refused("list", *HERS)


async def test_cli_signup_is_refused(mem0_cli: Mem0Cli) -> None:
    """mem0 creates its own accounts by e-mail; here keys come from the operator."""
    without = {"MEM0_API_KEY": ""}
    asked = await mem0_cli("init", "--email", "ana@example.com", **without)
    assert (asked.code, "Failed to send code" in asked.err) == (1, True), asked
    unattended = await mem0_cli("init", "--agent", **without)
    assert (unattended.code, "Bootstrap failed" in unattended.err) == (1, True), unattended
