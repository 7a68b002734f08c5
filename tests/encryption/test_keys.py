"""Projects that exist are encrypted, and keys replaced, while the project is in use; an interrupted run goes on."""

import asyncio
import uuid

import pytest
from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncEngine

from app.core.database.database import Database
from app.core.errors import ConfigurationError
from app.core.resources import Resources
from app.encryption.keys import content_keys, encrypt_projects, rotate_keys
from app.encryption.tables import SEALED_TABLES
from app.memory.ledger import NewMemory
from app.memory.namespace import Namespace
from app.memory.remember import remember
from tests.encryption.conftest import encrypting_database
from tests.erasure.planting import Planted

COUNT_DELIVERIES_SQL = text("select count(*) from webhook_deliveries where project_id = :id")
SELECT_KEYS_SQL = text("select id, master_key, number from content_keys where project_id = :id order by number")


class Interrupted(Exception):
    pass


def ignore(rows: int) -> None:
    assert rows


class StopsAfter:
    def __init__(self, batches: int) -> None:
        self.left = batches

    def __call__(self, rows: int) -> None:
        self.left -= 1
        if not self.left:
            raise Interrupted


def sealed_markers(planted: Planted) -> set[str]:
    """Of a JSON value, the first marker is a text, and the second one the name of a field."""
    texts = [f"{table.name}.{column}" for table in SEALED_TABLES for column in (*table.texts, *table.bytes)]
    values = [f"{table.name}.{column}" for table in SEALED_TABLES for column in (*table.messages, *table.leaves)]
    return {marker for each in texts for marker in planted.places[each]} | {
        min(planted.places[each]) for each in values
    }


async def shown(database: Database, project_id: uuid.UUID) -> list[object]:
    """All sealed columns of the project, as the server reads them."""
    rows: list[object] = []
    async with database.transaction(project_id) as tx:
        for table in SEALED_TABLES:
            columns = ", ".join(("id", table.record, *table.columns))
            query = text(f"select {columns} from {table.name} where project_id = :id order by id")
            rows += [tuple(row) for row in await tx.execute(query, {"id": project_id})]
    return rows


async def key_rows(admin: AsyncEngine, project_id: uuid.UUID) -> list[tuple[uuid.UUID, str, int]]:
    async with admin.connect() as connection:
        return [tuple(row) for row in await connection.execute(SELECT_KEYS_SQL, {"id": project_id})]


async def test_existing_project_is_encrypted_and_reads_the_same(
    sealing_database: Database, resources: Resources, admin_engine: AsyncEngine, project_id: uuid.UUID
) -> None:
    planted = Planted(project_id)
    await planted.plant_rows(admin_engine)
    sealed = sealed_markers(planted)
    before = await shown(sealing_database, project_id)
    async with admin_engine.connect() as connection:
        deliveries = await connection.scalar(COUNT_DELIVERIES_SQL, {"id": project_id})
    assert await planted.find(admin_engine, resources) >= sealed

    with pytest.raises(TimeoutError):
        async with asyncio.timeout(0.3):
            await encrypt_projects(sealing_database, [project_id], ignore, active_after=0.5)
    with pytest.raises(Interrupted):
        await encrypt_projects(sealing_database, [project_id], StopsAfter(3), active_after=0)
    assert await planted.find(admin_engine, resources) & sealed
    await encrypt_projects(sealing_database, [project_id], ignore, active_after=0)

    assert await planted.find(admin_engine, resources) & sealed == set()
    assert await shown(sealing_database, project_id) == before
    async with admin_engine.connect() as connection:
        assert await connection.scalar(COUNT_DELIVERIES_SQL, {"id": project_id}) == deliveries


async def test_rotation_replaces_data_keys_and_master_keys(
    sealing_database: Database, admin_engine: AsyncEngine, project_id: uuid.UUID
) -> None:
    planted = Planted(project_id)
    await planted.plant_rows(admin_engine)
    await encrypt_projects(sealing_database, [project_id], ignore, active_after=0)
    before, [old] = await shown(sealing_database, project_id), await key_rows(admin_engine, project_id)

    newer = encrypting_database(
        sealing_database.url, "the next master key of the tests", "a master key of the tests, long enough"
    )
    with pytest.raises(Interrupted):
        await rotate_keys(newer, [project_id], StopsAfter(3), active_after=0)
    assert [number for _, _, number in await key_rows(admin_engine, project_id)] == [1, 2]
    assert await shown(newer, project_id) == before
    assert await rotate_keys(newer, [project_id], ignore, active_after=0) == 1

    [new] = await key_rows(admin_engine, project_id)
    assert (new[0] != old[0], new[1] != old[1], new[2]) == (True, True, 2)
    assert await shown(newer, project_id) == before
    await newer.close()
    content_keys(sealing_database).forget(project_id)


async def test_duplicates_are_found_across_rotation_and_encryption(
    sealing_resources: Resources, resources: Resources, project_id: uuid.UUID
) -> None:
    namespace, new = Namespace(project_id), [NewMemory("I like tea")]
    [first] = (await remember(resources, namespace, new)).results
    database = sealing_resources.database
    await encrypt_projects(database, [project_id], ignore, active_after=0)
    await rotate_keys(database, [project_id], ignore, active_after=0)
    [again] = (await remember(sealing_resources, namespace, new)).results
    assert (again.id, again.content) == (first.id, "I like tea")


async def test_new_key_is_used_once_every_process_has_read_it(
    sealing_database: Database, project_id: uuid.UUID
) -> None:
    keys = content_keys(sealing_database)
    assert await sealing_database.cipher_of(project_id) is not None
    await keys.add(project_id, 60)
    old, new = await keys.list_prefixes(project_id)
    cipher = await sealing_database.cipher_of(project_id)
    assert cipher is not None
    assert cipher.seal(project_id, project_id, b"x").startswith(old)
    assert not cipher.seal(project_id, project_id, b"x").startswith(new)


async def test_commands_need_the_setting(resources: Resources) -> None:
    if resources.database.content_keys is None:
        with pytest.raises(ConfigurationError, match="Set CONTENT_KEYS"):
            content_keys(resources.database)
