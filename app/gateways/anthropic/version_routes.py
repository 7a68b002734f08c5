"""/v1/memory_stores/{id}/memory_versions: the history of the memories of a store."""

from fastapi import APIRouter

from app.core.errors import BadRequest
from app.gateways.anthropic.ids import MEMORY, StoreId, VersionId, read_id
from app.gateways.anthropic.render import EVENTS, render_actor, render_version
from app.gateways.anthropic.schemas import (
    MemoryVersionPage,
    MemoryVersionRead,
    Operation,
    PageLimit,
    PageToken,
    Since,
    Until,
    View,
)
from app.gateways.anthropic.stores import store_namespace
from app.identity.caller import MemoryReader, MemoryWriter
from app.identity.transaction import Transaction
from app.memory.documents import VersionQuery, get_version, list_versions, redact_version

router = APIRouter(prefix="/v1/memory_stores/{memory_store_id}/memory_versions", tags=["Anthropic"])
FULL_PAGE = 20
LARGEST_POSITION = 2**63 - 1


@router.get("")
async def list_memory_versions(
    store_id: StoreId,
    caller: MemoryReader,
    tx: Transaction,
    memory_id: str | None = None,
    operation: Operation | None = None,
    since: Since = None,
    until: Until = None,
    api_key_id: str | None = None,
    session_id: str | None = None,
    service_account_id: str | None = None,
    limit: PageLimit = 20,
    page: PageToken = None,
    view: View = "basic",
) -> MemoryVersionPage:
    """Lists versions, newest first. Their authors are keys and people: no session and no service account is one."""
    namespace = await store_namespace(tx, caller, store_id)
    if session_id or service_account_id:
        return MemoryVersionPage(data=[])
    size = min(limit, FULL_PAGE) if view == "full" else limit
    query = VersionQuery(
        limit=size + 1,
        memory_id=read_id(MEMORY, memory_id) if memory_id else None,
        event=EVENTS[operation] if operation else None,
        actor=f"key:{api_key_id}" if api_key_id else None,
        since=since,
        until=until,
        before=read_position(page),
    )
    found = await list_versions(tx, namespace, query)
    data = [render_version(store_id, each, full=view == "full") for each in found[:size]]
    return MemoryVersionPage(data=data, next_page=str(found[size - 1].position) if len(found) > size else None)


def read_position(page: str | None) -> int | None:
    if page is None:
        return None
    if not page.isascii() or not page.isdigit() or int(page) > LARGEST_POSITION:
        raise BadRequest("`page` is invalid. Pass the `next_page` of the previous page unchanged.")
    return int(page)


@router.get("/{memory_version_id}")
async def get_memory_version(
    store_id: StoreId, version_id: VersionId, caller: MemoryReader, tx: Transaction, view: View = "full"
) -> MemoryVersionRead:
    """Returns one version."""
    namespace = await store_namespace(tx, caller, store_id)
    return render_version(store_id, await get_version(tx, namespace, version_id), full=view == "full")


@router.post("/{memory_version_id}/redact")
async def redact_memory_version(
    store_id: StoreId, version_id: VersionId, caller: MemoryWriter, tx: Transaction
) -> MemoryVersionRead:
    """Removes the content and the path of a version that is not the current one. This cannot be undone."""
    namespace = await store_namespace(tx, caller, store_id)
    version = await redact_version(tx, namespace, version_id, render_actor(caller.actor))
    return render_version(store_id, version, full=True)
