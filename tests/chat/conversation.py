"""A conversation through the API: sessions, turns whole and streamed, and the rows that they leave."""

import asyncio
import json
import uuid
from dataclasses import dataclass
from typing import Any

import httpx
from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncEngine

from tests.patience import PATIENCE_SECONDS

Json = dict[str, Any]
SELECT_TABLES_SQL = text("""
select format('%I.%I', schemaname, tablename) from pg_tables
where schemaname not in ('pg_catalog', 'information_schema')
""")


@dataclass(frozen=True)
class Event:
    kind: str
    content: Json


def read_events(body: str) -> list[Event]:
    events = []
    for block in body.split("\n\n"):
        fields = dict(line.split(": ", 1) for line in block.splitlines() if ": " in line and not line.startswith(":"))
        if "event" in fields:
            events.append(Event(fields["event"], json.loads(fields["data"])))
    return events


@dataclass(frozen=True)
class Conversation:
    """One session of one user, through an API key of the project."""

    client: httpx.AsyncClient
    project_id: uuid.UUID
    user_id: str
    profile_id: str
    session_id: str

    @property
    def path(self) -> str:
        return f"/v1/sessions/{self.session_id}"

    async def post(self, content: str, headers: dict[str, str] | None = None, **options: object) -> httpx.Response:
        return await self.client.post(f"{self.path}/messages", json={"content": content, **options}, headers=headers)

    async def send(self, content: str, headers: dict[str, str] | None = None, **options: object) -> Json:
        response = await self.post(content, headers, **options)
        assert response.status_code == 200, response.text
        answer: Json = response.json()
        return answer

    async def stream(self, content: str, headers: dict[str, str] | None = None, **options: object) -> list[Event]:
        response = await self.post(content, headers, stream=True, **options)
        assert response.status_code == 200, response.text
        assert response.headers["content-type"].startswith("text/event-stream")
        return read_events(response.text)

    async def send_or_stream(self, content: str, *, streamed: bool) -> Json:
        if not streamed:
            return await self.send(content)
        [message] = [event.content for event in await self.stream(content) if event.kind == "message"]
        return message

    async def switch_mode(self, mode: str) -> None:
        response = await self.client.patch(self.path, json={"privacy_mode": mode})
        assert response.status_code == 200, response.text

    async def list_messages(self) -> list[Json]:
        """Oldest first."""
        response = await self.client.get(f"{self.path}/messages", params={"limit": 200})
        results: list[Json] = response.json()["results"]
        return results[::-1]

    async def count_short_term_messages(self) -> int:
        count: int = (await self.client.get(f"{self.path}/summary")).json()["short_term_messages"]
        return count


async def start_conversation(
    client: httpx.AsyncClient, project_id: uuid.UUID, mode: str = "normal", user_id: str | None = None, **more: object
) -> Conversation:
    user_id = user_id or f"user-{uuid.uuid4().hex[:8]}"
    body = {"user_id": user_id, "privacy_mode": mode, **more}
    response = await client.post("/v1/sessions", json=body)
    assert response.status_code == 201, response.text
    session = response.json()
    return Conversation(client, project_id, user_id, session["profile_id"], session["id"])


@dataclass(frozen=True)
class AdminRows:
    """Reads the database as its owner, without row-level security."""

    admin: AsyncEngine

    async def select_all(self, sql: str, **values: object) -> list[Any]:
        async with self.admin.connect() as connection:
            return list((await connection.execute(text(sql), values)).all())

    async def select_value(self, sql: str, **values: object) -> Any:
        [row] = await self.select_all(sql, **values)
        return row[0]

    async def memory_contents(self, project_id: uuid.UUID, kind: str) -> list[str]:
        sql = "select content from memories where project_id = :project_id and kind = :kind order by created_at, id"
        return [row.content for row in await self.select_all(sql, project_id=project_id, kind=kind)]

    async def count_jobs(self, project_id: uuid.UUID, task: str = "%") -> int:
        sql = "select count(*) from jobs.procrastinate_jobs where args ->> 'project_id' = :id and task_name like :task"
        return int(await self.select_value(sql, id=str(project_id), task=task))

    async def tables_containing(self, words: str) -> list[str]:
        """Every table of every schema with a row whose text contains the words."""
        found = []
        async with self.admin.connect() as connection:
            for table in (await connection.execute(SELECT_TABLES_SQL)).scalars().all():
                sql = text(f"select 1 from {table} as t where t::text like :words limit 1")
                if (await connection.execute(sql, {"words": f"%{words}%"})).first():
                    found.append(table)
        return found

    async def wait_until_true(self, sql: str, **values: object) -> None:
        """Wait until the statement returns true."""
        async with asyncio.timeout(PATIENCE_SECONDS):
            while not await self.select_value(sql, **values):  # noqa: ASYNC110  # the database has no event for it
                await asyncio.sleep(0.02)
