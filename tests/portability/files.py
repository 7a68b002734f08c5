"""Export to files and import from them."""

import json
import uuid
from pathlib import Path
from typing import Any

from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncEngine

from app.core.database.database import Database
from app.portability.exports.read_rows import DataScope
from app.portability.exports.write_file import export_to_file
from app.portability.imports.run import ImportResult
from app.portability.imports.run import import_file as run_import

Json = dict[str, Any]


def check_progress(done: int, total: int) -> None:
    assert done <= total


async def export_file(
    database: Database, project_id: uuid.UUID, target: Path, user_id: str | None = None
) -> dict[str, int]:
    return await export_to_file(database, DataScope(project_id, user_id), target, check_progress)


async def import_file(
    database: Database, project_id: uuid.UUID, source: Path, user_id: str | None = None, only_user: str | None = None
) -> ImportResult:
    scope = DataScope(project_id, only_user)
    return await run_import(database, scope, source, check_progress, default_user=user_id)


def read_lines(path: Path) -> list[Json]:
    return [json.loads(line) for line in path.read_bytes().splitlines()]


def read_export(path: Path) -> dict[str, Json]:
    """The memories by their ids."""
    return {line["id"]: line for line in read_lines(path) if line.get("type") == "memory"}


async def delete_project(admin_engine: AsyncEngine, project_id: uuid.UUID) -> None:
    async with admin_engine.begin() as connection:
        await connection.execute(text("delete from projects where id = :id"), {"id": project_id})


async def other_project(database: Database) -> uuid.UUID:
    async with database.system() as tx:
        insert = (
            "with o as (insert into organizations (name) values ('Other') returning id)"
            " insert into projects (organization_id, name) select id, 'Other' from o returning id"
        )
        return uuid.UUID(str(await tx.scalar(text(insert))))


def data_lines(path: Path) -> list[bytes]:
    """Without the header, which has the time of the export."""
    return path.read_bytes().splitlines(keepends=True)[1:]
