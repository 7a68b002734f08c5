"""/v1/import: data from an export of Keepsake, mem0, ChatGPT or Claude."""

import time
from collections.abc import Sequence
from typing import Annotated, Any

from fastapi import Query, Request, Security

from app.core.errors import UnsupportedMediaType
from app.core.http.body_limits import BodyLimit, with_body_limit
from app.core.http.strict_requests import own_router
from app.core.resources import Resources, ResourcesDep
from app.identity.caller import Caller, authorize
from app.identity.scopes import Scope
from app.memory.indexing import upsert_for_new
from app.portability.exports.read_rows import DataScope
from app.portability.exports.schemas import ExportedUser
from app.portability.imports.parse import ValueParser
from app.portability.imports.read_source import MAX_LINE_BYTES
from app.portability.imports.run import Import, ImportResult
from app.portability.imports.schemas import ImportReport, LineProblemRead
from app.portability.imports.write_rows import Added

router = own_router(tags=["Export and import"])
MAX_IMPORT_BYTES = 64 << 20
FORM = "The body is a form. Send the file itself as the body: `curl --data-binary @FILE` instead of `-F file=@FILE`."
SHARE_OF_TIME = 0.7
"""Of the time limit of a request. The rest is for the end of the body and for the answer."""
BODY: dict[str, Any] = {
    "requestBody": {
        "required": True,
        "content": {
            "application/x-ndjson": {
                "schema": {"type": "string"},
                "example": '{"memory": "Likes tea", "user_id": "anna"}',
            },
            "application/json": {"schema": {}, "example": [{"memory": "Likes tea", "user_id": "anna"}]},
        },
    }
}
Importer = Annotated[
    Caller, Security(authorize, scopes=[Scope.MEMORIES_WRITE, Scope.PROFILES_WRITE, Scope.SESSIONS_WRITE])
]
DefaultUser = Annotated[
    ExportedUser | None, Query(description="The user of lines that name none. Defaults to the signed-in account.")
]


@router.post("/v1/import", openapi_extra=BODY)
@with_body_limit(BodyLimit(MAX_IMPORT_BYTES, None, size="64 MB, the limit of an import", max_held=MAX_LINE_BYTES))
async def import_data(
    request: Request, caller: Importer, resources: ResourcesDep, user_id: DefaultUser = None
) -> ImportReport:
    """Imports JSON Lines or a JSON document: exports of Keepsake, mem0, ChatGPT and Claude.

    Rows that exist stay unchanged, so a request can be repeated. Lines that cannot be stored are reported in `errors`,
    and the others are stored. A long import stops before the time limit: `next_line` is where to go on."""
    if request.headers.get("content-type", "").lower().startswith("multipart/"):
        raise UnsupportedMediaType(FORM)
    ends_at = time.monotonic() + SHARE_OF_TIME * resources.config.request_timeout_seconds
    default_user = caller.act_for(user_id) if user_id or caller.account_id else None
    done = await Import(
        resources.database,
        DataScope(caller.project_id, caller.user_id),
        ValueParser(default_user=default_user, only_user=caller.user_id),
        on_added=IndexNotifier(resources).put,
        max_document_bytes=MAX_LINE_BYTES,
        chooses_embedder=caller.user_id is None and Scope.PROJECTS_WRITE in caller.scopes,
        may_continue=lambda: time.monotonic() < ends_at and not resources.disk_space.is_low(),
    ).run(request.stream())
    return _report(done)


class IndexNotifier:
    def __init__(self, resources: Resources) -> None:
        self._queue = resources.index_queue

    async def put(self, added: Sequence[Added]) -> None:
        await self._queue.put([upsert_for_new(namespace, new, version) for namespace, new, version in added])


def _report(done: ImportResult) -> ImportReport:
    return ImportReport(
        added=dict(+done.added),
        already_there=dict(+done.already_there),
        skipped=dict(done.skipped),
        errors=[LineProblemRead.model_validate(each) for each in done.problems],
        error_count=done.problem_count,
        complete=done.next_line is None and not done.was_cut_off,
        next_line=done.next_line,
    )
