"""The examples in Python and in the shell, unchanged, against a server on loopback."""

import importlib
import sys
import uuid
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest
from fastapi import FastAPI

from tests.conftest import MakeKey
from tests.examples.conftest import EXAMPLES, run_example
from tests.loopback import serve_on_loopback
from tests.patience import PATIENCE_SECONDS


async def test_mem0_python_example_recalls_what_it_added(server_url: str, make_key: MakeKey, tmp_path: Path) -> None:
    key = (await make_key()).key
    environment = {"MEM0_TELEMETRY": "False", "MEM0_DIR": str(tmp_path), "KEEPSAKE_API_KEY": key}
    lines = await run_example("mem0_python", sys.executable, "remember.py", KEEPSAKE_URL=server_url, **environment)
    assert lines == [
        "status: PENDING",
        "status: SUCCEEDED",
        "What is Anna allergic to? -> I am allergic to peanuts.",
        "Where does Anna live? -> I moved to Lisbon in May.",
    ]


async def test_curl_example_remembers_and_runs_again(server_url: str) -> None:
    email = f"{uuid.uuid4().hex[:12]}@example.com"
    for _ in range(2):
        lines = await run_example("curl_chat", "sh", "chat.sh", KEEPSAKE_URL=server_url, EMAIL=email)
        assert [line for line in lines if line.startswith(">")] == [
            "> I moved to Lisbon in May.",
            "> Where did I move in May?",
        ]
        answer = lines[lines.index("> Where did I move in May?") :]
        assert any("I moved to Lisbon in May." in line for line in answer)


async def test_anthropic_memory_tool_keeps_its_files(server_url: str, make_key: MakeKey) -> None:
    key = (await make_key()).key
    command = (sys.executable, "anthropic_memory_tool.py")
    assert await run_example(".", *command, KEEPSAKE_URL=server_url, KEEPSAKE_API_KEY=key) == [
        "File created successfully at: /memories/notes.md",
        "The memory file has been edited.",
        "The file /memories/notes.md has been edited.",
        "Successfully renamed /memories/notes.md to /memories/travel/notes.md",
        "Here're the files in /memories:",
        "57\t/memories/travel/notes.md",
        "Here's the content of /memories/travel/notes.md with line numbers:",
        "     1\tAnna lives in Porto.",
        "     2\tShe works as a pilot.",
        "     3\tShe likes tea.",
        "Successfully deleted /memories/travel",
        "Here're the files in /memories:",
    ]


@pytest.fixture
def assistant(server_url: str, monkeypatch: pytest.MonkeyPatch) -> Iterator[pytest.MonkeyPatch]:
    """The module can be imported as it is when `uvicorn --app-dir` runs it."""
    monkeypatch.syspath_prepend(str(EXAMPLES / "fastapi_app"))
    monkeypatch.setenv("KEEPSAKE_URL", server_url)
    yield monkeypatch
    sys.modules.pop("assistant", None)


async def test_fastapi_example_keeps_its_users_apart(assistant: pytest.MonkeyPatch, make_key: MakeKey) -> None:
    assistant.setenv("KEEPSAKE_API_KEY", (await make_key()).key)
    api: FastAPI = importlib.import_module("assistant").api
    async with (
        api.router.lifespan_context(api),
        serve_on_loopback(api) as url,
        httpx.AsyncClient(base_url=url, timeout=PATIENCE_SECONDS) as client,
    ):
        for text in ("I moved to Lisbon in May.", "Where did I move in May?"):
            turn = await client.post("/chat", json={"text": text}, headers={"X-User": "anna"})
            assert turn.status_code == 200, turn.text
        assert "I moved to Lisbon in May." in turn.json()["recalled"]
        assert "I moved to Lisbon in May." in (await client.get("/memories", headers={"X-User": "anna"})).json()
        assert (await client.get("/memories", headers={"X-User": "ben"})).json() == []


async def test_fastapi_example_reports_a_refused_key(assistant: pytest.MonkeyPatch) -> None:
    assistant.setenv("KEEPSAKE_API_KEY", "ks_wrong")
    api: FastAPI = importlib.import_module("assistant").api
    async with (
        api.router.lifespan_context(api),
        serve_on_loopback(api) as url,
        httpx.AsyncClient(base_url=url, timeout=PATIENCE_SECONDS) as client,
    ):
        refused = await client.get("/memories", headers={"X-User": "anna"})
    assert refused.status_code == 502
    assert refused.json()["detail"]
