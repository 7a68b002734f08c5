"""/v1/export: the data of a person or of a project as a file."""

from collections.abc import AsyncIterator
from typing import Annotated
from uuid import UUID

from fastapi import Header, Request, Response, Security
from fastapi.responses import JSONResponse, StreamingResponse

from app.core.database.pagination import Cursor, Limit, Page, PageRows
from app.core.errors import Conflict, NotFound
from app.core.http.schemas import Done
from app.core.http.strict_requests import own_router
from app.core.jobs import defer
from app.core.resources import Resources, ResourcesDep
from app.identity.caller import Caller, authorize
from app.identity.scopes import Scope
from app.identity.transaction import Transaction, caller_transaction
from app.portability.exports.byte_ranges import ByteRange, choose_range
from app.portability.exports.jobs import write_export
from app.portability.exports.models import CHUNK_BYTES, DataExport, ExportState
from app.portability.exports.repository import DataExportChunkRepository, DataExportRepository
from app.portability.exports.schemas import DataExportCreate, DataExportRead

router = own_router(prefix="/v1/export", tags=["Export and import"])
JSON_LINES = "application/x-ndjson"
RETRY_SECONDS = "2"
FILE_RESPONSES: dict[int | str, dict[str, object]] = {
    200: {"description": "The file.", "content": {JSON_LINES: {"schema": {"type": "string"}}}},
    202: {"description": "The export is not finished yet.", "model": DataExportRead},
    206: {"description": "A part of the file.", "content": {JSON_LINES: {"schema": {"type": "string"}}}},
}
# An export contains all of them, so it needs each of the scopes.
Exporter = Annotated[
    Caller, Security(authorize, scopes=[Scope.MEMORIES_READ, Scope.PROFILES_READ, Scope.SESSIONS_READ])
]


def exports_of(caller: Caller, tx: Transaction) -> DataExportRepository:
    return DataExportRepository(tx, caller.project_id, caller.user_id)


@router.post("", status_code=202, response_model=DataExportRead)
async def create_export(
    body: DataExportCreate, caller: Exporter, tx: Transaction, resources: ResourcesDep
) -> DataExport:
    """Requests an export as JSON Lines. A background job writes it; it is deleted after 24 hours."""
    resources.disk_space.require()
    user_id = caller.act_for(body.user_id) if body.user_id or caller.user_id else None
    export = await exports_of(caller, tx).request(user_id)
    lock = f"data_exports:{caller.project_id}"
    await defer(tx, write_export, lock=lock, project_id=str(caller.project_id), export_id=str(export.id))
    return export


@router.get("", response_model=Page[DataExportRead])
async def list_exports(
    caller: Exporter, tx: Transaction, limit: Limit = 50, cursor: Cursor = None
) -> PageRows[DataExport]:
    """Lists the exports, newest first."""
    return await exports_of(caller, tx).page(limit, cursor)


@router.get("/{export_id}", response_model=None, responses=FILE_RESPONSES)
async def get_export(
    export_id: UUID,
    caller: Exporter,
    resources: ResourcesDep,
    request: Request,
    wanted: Annotated[str | None, Header(alias="Range", description="A part of the file: `bytes=1000-`.")] = None,
    if_range: Annotated[str | None, Header(alias="If-Range", description="The `ETag` of the file.")] = None,
) -> Response:
    """Returns the file or, while it is being written, 202 with the progress.

    With `Accept: application/json`, the response is always the state. `Range` and `If-Range` resume a download."""
    async with caller_transaction(resources.database, caller) as tx:
        export = await exports_of(caller, tx).get(export_id)
    if "application/json" in request.headers.get("accept", ""):
        return _state(export, 200)
    if export.state == ExportState.FAILED:
        raise Conflict(export.error or "The export failed. Request another one.", code="export_failed")
    if export.state != ExportState.FINISHED:
        return _state(export, 202)
    etag = f'"{export.digest}"'
    return _send(resources, caller, export, choose_range(export.size, wanted, if_range, etag), etag)


@router.delete("/{export_id}")
async def delete_export(export_id: UUID, caller: Exporter, tx: Transaction) -> Done:
    """Deletes the export with its file. One that is being written stops."""
    await exports_of(caller, tx).delete(export_id)
    return Done(message="The export was deleted.")


def _state(export: DataExport, status: int) -> JSONResponse:
    content = DataExportRead.model_validate(export).model_dump(mode="json")
    return JSONResponse(content, status, headers={"Retry-After": RETRY_SECONDS} if status == 202 else None)


def _send(
    resources: Resources, caller: Caller, export: DataExport, part: ByteRange | None, etag: str
) -> StreamingResponse:
    sent = part or ByteRange(0, export.size)
    headers = {
        "Accept-Ranges": "bytes",
        "Content-Disposition": f'attachment; filename="keepsake-{export.id}.jsonl"',
        "Content-Length": str(sent.length),
        "ETag": etag,
        **({"Content-Range": f"bytes {sent.start}-{sent.end - 1}/{export.size}"} if part else {}),
    }
    content = _read_chunks(resources, caller, export.id, sent)
    return StreamingResponse(content, 206 if part else 200, headers, media_type=JSON_LINES)


async def _read_chunks(resources: Resources, caller: Caller, export_id: UUID, part: ByteRange) -> AsyncIterator[bytes]:
    """Each chunk in a transaction of its own, so that a slow client holds no connection."""
    for number in range(part.start // CHUNK_BYTES, (part.end - 1) // CHUNK_BYTES + 1):
        async with caller_transaction(resources.database, caller) as tx:
            content = await DataExportChunkRepository(tx, caller.project_id, caller.user_id).read(export_id, number)
        if content is None:
            raise NotFound(f"There is no export {export_id}")
        offset = number * CHUNK_BYTES
        yield content[max(0, part.start - offset) : part.end - offset]
