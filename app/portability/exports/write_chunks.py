"""Write the file of an export into chunks, in a job. A run that is interrupted begins again with an empty file."""

import asyncio
import hashlib
import json
import uuid
from dataclasses import dataclass, field
from uuid import UUID

import structlog
from sqlalchemy import text
from sqlalchemy.exc import SQLAlchemyError

from app.core.database.content import ContentBytes
from app.core.errors import Unavailable
from app.core.resources import Resources
from app.portability.exports.models import CHUNK_BYTES
from app.portability.exports.read_rows import DataScope
from app.portability.exports.write_file import ExportPart, export_parts

log = structlog.get_logger()
RETRYABLE = (SQLAlchemyError, OSError, Unavailable)
MAX_ATTEMPTS = 6
FAILED = "The export failed. Request another one; if it fails, too, see the server log."
BEGIN_EXPORT_SQL = text("""
update data_exports set state = 'running', run_id = :run_id, done = 0, total = 0, size = 0
where project_id = :project_id and id = :id and state in ('pending', 'running') returning user_id
""")
DELETE_CHUNKS_SQL = text("delete from data_export_chunks where project_id = :project_id and export_id = :id")
# Nothing is inserted once the export is deleted, or another run has begun.
INSERT_CHUNK_SQL = text("""
with own as (
  update data_exports set done = :done, total = :total, size = size + :length
  where project_id = :project_id and id = :id and run_id = :run_id and state = 'running' returning user_id
)
insert into data_export_chunks (project_id, user_id, export_id, number, content)
select :project_id, user_id, :id, :number, :content from own returning id
""")
FINISH_EXPORT_SQL = text("""
update data_exports set state = 'finished', done = :done, total = :done, digest = :digest,
  counts = cast(:counts as jsonb), finished_at = now()
where project_id = :project_id and id = :id and run_id = :run_id
""")
FAIL_EXPORT_SQL = text("""
update data_exports set state = 'failed', error = :error, finished_at = now()
where project_id = :project_id and id = :id and state in ('pending', 'running')
""")


async def run_export(resources: Resources, project_id: UUID, export_id: UUID, attempts: int) -> None:
    """An error that another attempt may not have is raised, so that the job is tried again. Every other one ends it."""
    is_failed = True
    try:
        await _write(resources, project_id, export_id)
        is_failed = False
    except RETRYABLE:
        if attempts + 1 < MAX_ATTEMPTS:
            is_failed = False
            raise
    except asyncio.CancelledError:
        is_failed = False
        raise
    finally:
        if is_failed:
            log.warning("export.failed", export_id=str(export_id))
            values = {"project_id": project_id, "id": export_id, "error": FAILED}
            async with resources.database.transaction(project_id) as tx:
                await tx.execute(FAIL_EXPORT_SQL, values)
                await tx.execute(DELETE_CHUNKS_SQL, values)


async def _write(resources: Resources, project_id: UUID, export_id: UUID) -> None:
    values = {"project_id": project_id, "id": export_id}
    run = ChunkWriter(resources, project_id, export_id)
    async with resources.database.transaction(project_id) as tx:
        begun = (await tx.execute(BEGIN_EXPORT_SQL, {**values, "run_id": run.run_id})).first()
        await tx.execute(DELETE_CHUNKS_SQL, values)
    if begun is None:
        return
    async for part in export_parts(resources.database, DataScope(project_id, begun.user_id)):
        if not await run.add(part):
            return
    await run.finish()


@dataclass
class ChunkWriter:
    """One run of one export."""

    resources: Resources
    project_id: UUID
    export_id: UUID
    run_id: UUID = field(default_factory=uuid.uuid4)

    def __post_init__(self) -> None:
        self._rest = bytearray()
        self._number = 0
        self._digest = hashlib.sha256()
        self._part = ExportPart(b"", 0, 0, {})

    async def add(self, part: ExportPart) -> bool:
        """False once the export is not to be written any more."""
        self._part = part
        self._digest.update(part.content)
        self._rest += part.content
        while len(self._rest) >= CHUNK_BYTES:
            if not await self._insert(bytes(self._rest[:CHUNK_BYTES])):
                return False
            del self._rest[:CHUNK_BYTES]
        return True

    async def finish(self) -> None:
        if self._rest and not await self._insert(bytes(self._rest)):
            return
        part = self._part
        values = {"done": part.done, "digest": self._digest.hexdigest(), "counts": json.dumps(part.counts)}
        await self.resources.database.pipeline(self.project_id, None, (FINISH_EXPORT_SQL, {**self._key, **values}))

    async def _insert(self, content: bytes) -> bool:
        self.resources.disk_space.require()
        progress = {"done": self._part.done, "total": self._part.total}
        marked = ContentBytes(content, self.project_id, self.export_id)
        values = {**self._key, **progress, "number": self._number, "content": marked, "length": len(content)}
        rows = await self.resources.database.pipeline(self.project_id, None, (INSERT_CHUNK_SQL, values))
        self._number += 1
        return bool(rows)

    @property
    def _key(self) -> dict[str, UUID]:
        return {"project_id": self.project_id, "id": self.export_id, "run_id": self.run_id}
