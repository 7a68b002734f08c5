import uuid
from pathlib import Path

from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncEngine

from app.core.database.content import MARK
from app.core.database.database import Database
from app.core.resources import Resources
from tests.portability.exports.test_write_file import fill_project
from tests.portability.files import data_lines, delete_project, export_file, import_file, other_project

COUNT_SEALED_MESSAGES_SQL = text("select count(*) from messages where project_id = :id and starts_with(content, :mark)")
COUNT_SEALED_SQL = text("select count(*) from memories where project_id = :id and starts_with(content, :mark)")


async def test_export_of_encrypted_rows_imported_into_an_empty_instance_gives_the_same_export(
    sealing_resources: Resources,
    sealing_database: Database,
    project_id: uuid.UUID,
    admin_engine: AsyncEngine,
    tmp_path: Path,
) -> None:
    await sealing_database.cipher_of(project_id)
    await fill_project(sealing_resources, project_id, f"anna \u202e {uuid.uuid4()}")
    first, second = tmp_path / "first.jsonl", tmp_path / "second.jsonl"
    counts = await export_file(sealing_database, project_id, first)
    assert MARK.encode() not in first.read_bytes()
    await delete_project(admin_engine, project_id)
    target = await other_project(sealing_database)
    done = await import_file(sealing_database, target, first)
    assert (done.problems, dict(done.added)) == ([], counts)
    await export_file(sealing_database, target, second)
    assert data_lines(second) == data_lines(first)
    async with admin_engine.connect() as connection:
        messages = await connection.scalar(COUNT_SEALED_MESSAGES_SQL, {"id": target, "mark": MARK})
        sealed = await connection.scalar(COUNT_SEALED_SQL, {"id": target, "mark": MARK})
    assert (sealed, messages) == (counts["memory"], counts["message"])
