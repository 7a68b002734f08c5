"""Incognito conversations that succeed and fail, and a scan for anything they left behind."""

import asyncio
import uuid
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

import httpx
from sqlalchemy.ext.asyncio import create_async_engine

from app.adapters.embedded_postgres import EmbeddedPostgres
from tests.chat.conversation import AdminRows
from tests.doors import DOORS, Place
from tests.e2e.server import KeepsakeServer
from tests.model_server import Facts, Fails, Hangs, ModelServer, Says

Json = dict[str, str]


@dataclass
class Scene:
    """One server, its model, and the secret that must not be found again."""

    data_dir: Path
    models: ModelServer
    secret: str = field(default_factory=lambda: f"INC{uuid.uuid4().hex}")
    plain: str = field(default_factory=lambda: f"NOR{uuid.uuid4().hex}")
    logs: list[list[str]] = field(default_factory=list)
    key: str = ""
    address: str = ""

    @property
    def settings(self) -> dict[str, str]:
        model = {"LLM_BASE_URL": self.models.url, "LLM_API_KEY": "key", "LLM_MODEL": "any"}
        return {"LOG_LEVEL": "DEBUG", "DATABASE_URL": "", **model}

    async def sign_in(self, keepsake: KeepsakeServer, way: str = "login") -> None:
        """Runs once per start, because a server on another port is another issuer."""
        async with httpx.AsyncClient(base_url=keepsake.address, timeout=30) as anonymous:
            body = {"email": "ann@example.com", "password": "correct horse battery"}
            answer = await anonymous.post(f"/v1/auth/{way}", json=body)
        assert answer.status_code == 200, answer.text
        self.key, self.address = answer.json()["access_token"], keepsake.address

    def client(self, keepsake: KeepsakeServer) -> httpx.AsyncClient:
        headers = {"Authorization": f"Bearer {self.key}"}
        return httpx.AsyncClient(base_url=keepsake.address, headers=headers, timeout=30)


async def open_session(client: httpx.AsyncClient, mode: str) -> str:
    answer = await client.post("/v1/sessions", json={"user_id": "ann", "privacy_mode": mode})
    assert answer.status_code == 201, answer.text
    return f"/v1/sessions/{answer.json()['id']}"


async def talk_in_incognito(scene: Scene, client: httpx.AsyncClient) -> None:
    """Turns that are whole, streamed, repeated, failing, and interrupted."""
    words = scene.secret
    scene.models.always(Says(f"I see, {words}", " indeed"))
    session = await open_session(client, "incognito")
    for streamed in (False, True):
        body = {"content": f"My secret is {words}", "stream": streamed}
        for _ in range(2):
            answer = await client.post(f"{session}/messages", json=body, headers={"Idempotency-Key": f"k{streamed}"})
            assert words in answer.text
    again = await client.post(f"{session}/messages", json={"content": f"Forget that I said {words}"})
    assert "incognito" in again.json()["message"]["content"]
    await use_mcp(client, words, mode="incognito")
    chat = {"message": f"Also {words}", "user_id": "ann", "privacy_mode": "incognito"}
    assert words in (await client.post("/v1/chat", json=chat)).text
    scene.models.chat(*[Fails(400, error={"message": f"cannot read {words}", "type": "t", "code": None})] * 2)
    for streamed in (False, True):
        failed = await client.post(f"{session}/messages", json={"content": words, "stream": streamed})
        assert "language model" in failed.text
    for name, door in DOORS.items():
        assert words in await door.say(Place(scene.address, scene.key), f"Now {words}", "incognito"), name
    await speak_off_the_record(scene, client)
    scene.models.chat(Hangs(after=(words,)))
    await leave_in_the_middle(client, session, words)
    await free_again(client, session)


async def speak_off_the_record(scene: Scene, client: httpx.AsyncClient) -> None:
    """A wish that a message is not stored, in normal mode, through every API that takes what a user says."""
    words = scene.secret
    wish, answer = f"Off the record: I work at {words}", f"I will not tell that you work at {words}"
    for name, door in DOORS.items():
        assert words in await door.say(Place(scene.address, scene.key), wish, "normal"), name
    messages = [{"role": "user", "content": wish}, {"role": "assistant", "content": answer}]
    for infer in (True, False):
        add = {"messages": [{"role": "user", "content": "I like tea"}, *messages], "user_id": "ann", "infer": infer}
        for path in ("/v3/memories/add/", "/v1/memories/"):
            assert (await client.post(path, json=add)).status_code == 200
            assert (await client.post(path, json={**add, "messages": messages})).status_code == 200
        query = "mutation Add($input: AddMemoriesInput!) { add_memories(input: $input) { status } }"
        added = await client.post("/graphql", json={"query": query, "variables": {"input": add}})
        assert "errors" not in added.json(), added.text
        await call_mcp(client, "add_memory", {"text": wish, "infer": infer}, mode="normal")
    created = await client.post("/v1/conversations", json={"metadata": {"user_id": "ann"}, "items": messages})
    assert created.status_code == 200, created.text
    stored = await client.post(f"/v1/conversations/{created.json()['id']}/items", json={"items": messages})
    assert stored.json()["data"] == []


async def use_mcp(client: httpx.AsyncClient, words: str, *, mode: str) -> None:
    """Every tool that takes words, refused calls included."""
    calls: list[tuple[str, dict[str, object]]] = [
        ("add_memory", {"text": f"My secret is {words}", "infer": True}),
        ("add_memory", {"text": f"My secret is {words}", "infer": False}),
        ("search_memories", {"query": words}),
        ("get_memories", {"filters": {"metadata": {"word": words}}}),
        ("forget", {"what": f"that my secret is {words}"}),
        ("update_memory", {"memory_id": words, "text": words}),
        ("add_memory", {"text": words, words: words}),
    ]
    for tool, arguments in calls:
        await call_mcp(client, tool, arguments, mode=mode)


async def call_mcp(client: httpx.AsyncClient, tool: str, arguments: dict[str, object], *, mode: str) -> None:
    message = {"jsonrpc": "2.0", "id": 1, "method": "tools/call", "params": {"name": tool, "arguments": arguments}}
    headers = {"Accept": "application/json", "X-Keepsake-User-Id": "ann", "X-Keepsake-Privacy-Mode": mode}
    answer = await client.post("/mcp", json=message, headers=headers)
    assert "result" in answer.json(), answer.text


async def leave_in_the_middle(client: httpx.AsyncClient, session: str, words: str) -> None:
    body = {"content": f"Tell me about {words}", "stream": True}
    async with client.stream("POST", f"{session}/messages", json=body) as answer:
        async for line in answer.aiter_lines():
            if line.startswith("data") and words in line:
                return
    raise AssertionError("the stream ended by itself")


async def free_again(client: httpx.AsyncClient, session: str) -> None:
    """The interrupted turn is settled once the next message is accepted."""
    for _ in range(1200):
        answer = await client.post(f"{session}/messages", json={"content": "Still there?"})
        if answer.status_code == 200:
            return
        await asyncio.sleep(0.05)
    raise AssertionError(answer.text)


async def die_in_the_middle(scene: Scene, client: httpx.AsyncClient, kill: Callable[[], object]) -> None:
    scene.models.chat(Hangs(after=(scene.secret,)))
    session = await open_session(client, "incognito")
    body = {"content": f"My secret is {scene.secret}", "stream": True}
    try:
        async with client.stream("POST", f"{session}/messages", json=body) as answer:
            async for line in answer.aiter_lines():
                if line.startswith("data") and scene.secret in line:
                    kill()
    except httpx.TransportError:
        return


async def talk_normally(scene: Scene, client: httpx.AsyncClient) -> None:
    words = scene.plain
    scene.models.always(Says(f"I see, {words}"))
    scene.models.extraction(Facts(f"User works at {words}"))
    session = await open_session(client, "normal")
    answer = (await client.post(f"{session}/messages", json={"content": f"I work at {words}"})).json()
    for _ in range(600):
        event = (await client.get(f"/v1/event/{answer['event_id']}/")).json()
        if event["status"] == "SUCCEEDED":
            return
        await asyncio.sleep(0.1)
    raise AssertionError(event)


# ---------------------------------------------------------------- looking


@dataclass(frozen=True)
class Found:
    files: list[str]
    tables: list[str]
    log_lines: int


async def look_for(scene: Scene, words: str) -> Found:
    """Checkpoints Postgres first, so that no byte exists only in its memory."""
    server = EmbeddedPostgres(scene.data_dir)
    await server.start()
    engine = create_async_engine(server.url("postgres"))
    admin_rows = AdminRows(engine)
    tables = await admin_rows.tables_containing(words)
    async with engine.connect() as connection:
        autocommit = await connection.execution_options(isolation_level="AUTOCOMMIT")
        await autocommit.exec_driver_sql("checkpoint")
    await engine.dispose()
    files = files_with(scene.data_dir, words.encode())
    await server.stop()
    lines = [line for log in scene.logs for line in log]
    assert lines, "nothing was logged, so nothing was shown"
    return Found(files, tables, sum(words in line for line in lines))


def files_with(folder: Path, words: bytes) -> list[str]:
    """Every file below the folder whose bytes contain the words."""
    return [str(path.relative_to(folder)) for path in sorted(folder.rglob("*")) if _holds(path, words)]


def _holds(path: Path, words: bytes) -> bool:
    try:
        return path.is_file() and words in path.read_bytes()
    except FileNotFoundError:
        return False  # Postgres removes files while it runs.
