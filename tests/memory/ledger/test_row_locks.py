"""Statements that change several memories lock them in the order of ids, so that two of them end in no deadlock.

Each operation waits for the lower of two rows, which another connection holds. It must not hold the higher one yet.
"""

import asyncio
import datetime as dt
import json
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from uuid import UUID, uuid4

import httpx
import pytest
import pytest_asyncio
from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncEngine

from app.core.resources import Resources
from app.memory.archive import restore_replaced
from app.memory.categories.categorize import SET_CATEGORIES_SQL
from app.memory.edit import Owner, change_memory
from app.memory.forget import forget
from app.memory.indexing.indexer import MARK_INDEXED_SQL
from app.memory.ledger import Kind, LedgerRepository, NewMemory
from app.memory.move import move_memory
from app.memory.namespace import Namespace
from app.memory.remember import remember
from app.memory.supersession import Replacement, supersede
from app.profiles.repository import ProfileRepository
from tests.locks import wait_until_blocked
from tests.memory.namespaces import wait_until_indexed

LOCK_SQL = text("select pg_backend_pid() from memories where id = :id for update nowait")
NOON = dt.datetime(2026, 5, 1, 12, tzinfo=dt.UTC)


@dataclass(frozen=True)
class TwoRows:
    resources: Resources
    namespace: Namespace
    client: httpx.AsyncClient
    low: UUID
    """Carries the words of the other one as context."""
    high: UUID

    @property
    def project_id(self) -> UUID:
        return self.namespace.project_id

    async def forget(self) -> None:
        assert await forget(self.resources, self.namespace, [self.high]) == [self.high]

    async def delete_batch(self) -> None:
        response = await self.client.request("DELETE", "/v1/batch/", json={"memories": [{"memory_id": str(self.high)}]})
        assert response.status_code == 200, response.text

    async def delete_archived(self) -> None:
        async with self.resources.database.transaction(self.project_id) as tx:
            await LedgerRepository(tx, self.project_id).delete_all([self.high])

    async def edit(self) -> None:
        await change_memory(self.resources, Owner(self.project_id), self.high, {"content": "I keep goats"})

    async def edit_batch(self) -> None:
        body = {"memories": [{"memory_id": str(self.high), "text": "I keep goats"}]}
        response = await self.client.put("/v1/batch/", json=body)
        assert response.status_code == 200, response.text

    async def move(self) -> None:
        assert self.namespace.user_id
        async with self.resources.database.transaction(self.project_id) as tx:
            profiles = ProfileRepository(tx, self.project_id)
            other = await profiles.create(self.namespace.user_id, is_default=False, name="Other")
        await move_memory(self.resources, Owner(self.project_id), self.high, other.id)

    async def restore(self) -> None:
        assert await restore_replaced(self.resources, Owner(self.project_id), self.high) == [self.low]

    async def mark_indexed(self) -> None:
        values = {"ids": [self.high, self.low], "versions": [NOON, NOON], "embedders": [None, None]}
        await self.resources.database.system_pipeline((MARK_INDEXED_SQL, values))

    async def categorize(self) -> None:
        assigned = json.dumps([{"id": str(each), "categories": ["travel"]} for each in (self.high, self.low)])
        values = {"project_id": self.project_id, "assigned": assigned}
        await self.resources.database.pipeline(self.project_id, None, (SET_CATEGORIES_SQL, values))


@pytest_asyncio.fixture
async def two_rows(resources: Resources, namespace: Namespace, client: httpx.AsyncClient) -> TwoRows:
    low, high = sorted((uuid4(), uuid4()))
    carrier = NewMemory("Three hives of them", context="I keep bees", id=low, created_at=NOON, categories=None)
    await remember(resources, namespace, [carrier])
    await remember(resources, namespace, [NewMemory("I keep bees", id=high, created_at=NOON, categories=None)])
    await wait_until_indexed(resources, namespace)
    return TwoRows(resources, namespace, client, low, high)


OPERATIONS: dict[str, Callable[[TwoRows], Awaitable[None]]] = {
    "forget": TwoRows.forget,
    "summary": TwoRows.forget,
    "edit of a folded episode": TwoRows.edit,
    "edits of folded episodes": TwoRows.edit_batch,
    "batch": TwoRows.delete_batch,
    "retention": TwoRows.delete_archived,
    "move": TwoRows.move,
    "restore": TwoRows.restore,
    "index": TwoRows.mark_indexed,
    "categories": TwoRows.categorize,
}
FOLDED = ("summary", "edit of a folded episode", "edits of folded episodes")


@pytest.mark.parametrize("operation", OPERATIONS)
async def test_operation_on_several_memories_locks_them_in_the_order_of_ids(
    two_rows: TwoRows, admin_engine: AsyncEngine, operation: str
) -> None:
    if operation == "restore":
        async with two_rows.resources.database.transaction(two_rows.project_id) as tx:
            await supersede(tx, two_rows.project_id, [Replacement(two_rows.low, two_rows.high)])
    if operation in FOLDED:
        await fold(two_rows)
    async with admin_engine.connect() as holder, admin_engine.connect() as observer:
        pid = (await holder.execute(LOCK_SQL, {"id": two_rows.low})).scalar_one()
        running = asyncio.ensure_future(OPERATIONS[operation](two_rows))
        await wait_until_blocked(observer, pid, running)
        await holder.execute(LOCK_SQL, {"id": two_rows.high})  # fails if the operation holds this row
        await holder.rollback()
    await running


async def fold(rows: TwoRows) -> None:
    """Both are episodes of one summary, so deleting one changes the other."""
    summary = NewMemory("Bees", kind=Kind.SUMMARY, created_at=NOON)
    await remember(rows.resources, rows.namespace, [summary])
    async with rows.resources.database.transaction(rows.project_id) as tx:
        values = {"ids": [rows.low, rows.high]}
        await tx.execute(text("update memories set kind = 'episode', context = null where id = any(:ids)"), values)
        await supersede(tx, rows.project_id, [Replacement(each, summary.id) for each in values["ids"]])
