"""A server of its own with default settings, and the requests that the sections of this benchmark send to it."""

import asyncio
import json
import os
import sys
import tempfile
import uuid
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import httpx

UNLIMITED = {f"RATE_LIMIT_{who}": "100000000/minute" for who in ("AUTH", "USER", "PROJECT", "GLOBAL", "CHAT")}
"""The only settings that differ from the defaults: they limit how fast a benchmark may ask, not what it is told."""
ROOT = Path(__file__).parents[2]
IMPORT_LINES = 2000
ADD_MESSAGES = 100
AT_ONCE = 8
MAX_WAITS = 300
INCOMPLETE_SEARCHES = "keepsake_index_waits_ended_total "
Json = dict[str, Any]
Figures = dict[str, Any]


@dataclass(frozen=True, slots=True)
class Answer:
    results: list[Json]
    answerable: bool | None
    """None if the server does not report it."""

    @property
    def ids(self) -> list[str]:
        return [str(each["id"]) for each in self.results]


@dataclass(frozen=True, slots=True)
class Statement:
    """One message to remember word for word."""

    content: str
    role: str = "user"


@dataclass
class Service:
    http: httpx.AsyncClient
    folder: Path
    """The data folder of the server."""
    slots: asyncio.Semaphore = field(default_factory=lambda: asyncio.Semaphore(AT_ONCE))

    async def post(self, path: str, body: Json, **headers: str) -> Json:
        async with self.slots:
            response = await self.http.post(path, json=body, headers=headers)
        if response.is_error:
            raise RuntimeError(f"{path} answered {response.status_code}: {response.text[:500]}")
        answer: Json = response.json()
        return answer

    async def add(self, user_id: str, statements: Sequence[Statement], **options: Any) -> list[str | None]:
        """Stores each word for word. Returns the id of each, or None if it was there already."""
        ids: list[str | None] = []
        for start in range(0, len(statements), ADD_MESSAGES):
            part = statements[start : start + ADD_MESSAGES]
            messages = [{"role": each.role, "content": each.content} for each in part]
            body = {"messages": messages, "user_id": user_id, "infer": False, **options}
            answer = await self.post("/v3/memories/add/", body)
            ids += [each["id"] if each["event"] == "ADD" else None for each in answer["results"]]
        return ids

    async def import_facts(self, user_id: str, facts: Sequence[Json]) -> list[str]:
        """Stores facts as extraction would, with context. Fields as in docs/export-format.md; the id of each."""
        ids = [str(uuid.uuid4()) for _ in facts]
        lines = [
            {"type": "memory", "id": id_, "user_id": user_id, "kind": "fact", **fact}
            for id_, fact in zip(ids, facts, strict=True)
        ]
        for start in range(0, len(lines), IMPORT_LINES):
            content = "\n".join(json.dumps(line) for line in lines[start : start + IMPORT_LINES])
            response = await self.http.post("/v1/import", content=content)
            report = response.raise_for_status().json()
            if report["errors"]:
                raise RuntimeError(f"the import reported {report['errors'][:3]}")
        return ids

    async def wait_until_indexed(self, user_id: str) -> None:
        """A search waits two seconds for the index. `/metrics` counts those that then went on without it."""
        for _ in range(MAX_WAITS):
            before = await self._incomplete_searches()
            await self.search(user_id, "anything")
            if await self._incomplete_searches() == before:
                return
        raise RuntimeError("the memories were not indexed in time")

    async def _incomplete_searches(self) -> float:
        metrics = (await self.http.get("/metrics")).raise_for_status().text
        (value,) = [line.split()[1] for line in metrics.splitlines() if line.startswith(INCOMPLETE_SEARCHES)]
        return float(value)

    async def search(self, user_id: str, query: str, **options: Any) -> Answer:
        """With the default threshold, unless `options` has another one."""
        filters = options.pop("filters", {"user_id": user_id})
        answer = await self.post("/v3/memories/search/", {"query": query, "filters": filters, **options})
        return Answer(answer["results"], answer.get("answerable"))


@asynccontextmanager
async def serving() -> AsyncIterator[Service]:
    """A server on a new data folder, and a client with a key of a new account."""
    with tempfile.TemporaryDirectory(prefix="keepsake-truth-") as folder:
        child, address = await _start(Path(folder))
        try:
            async with httpx.AsyncClient(base_url=address, timeout=120) as client:
                client.headers["X-API-Key"] = await _create_key(client)
                yield Service(client, Path(folder))
        finally:
            child.terminate()
            await child.wait()


async def _start(folder: Path) -> tuple[asyncio.subprocess.Process, str]:
    log = folder / "server.log"
    environment = {**os.environ, **UNLIMITED, "DATA_DIR": str(folder), "LOG_FORMAT": "json"}
    command = (sys.executable, "-m", "app", "serve", "--port", "0")
    with log.open("w") as output:
        child = await asyncio.create_subprocess_exec(*command, cwd=ROOT, env=environment, stdout=output, stderr=output)
    while child.returncode is None:
        for line in log.read_text().splitlines():
            if '"serving"' in line:
                return child, str(json.loads(line)["address"])
        await asyncio.sleep(0.05)
    raise RuntimeError(f"the server did not start: {log.read_text()[-2000:]}")


async def _create_key(client: httpx.AsyncClient) -> str:
    account = {"email": "truth@example.com", "password": "correct horse battery staple"}
    token = (await client.post("/v1/auth/signup", json=account)).raise_for_status().json()["access_token"]
    headers = {"Authorization": f"Bearer {token}"}
    created = await client.post("/v1/api-keys", json={"name": "truth"}, headers=headers)
    return str(created.raise_for_status().json()["key"])
