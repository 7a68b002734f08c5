"""/v1/memory_stores/{id}/memories: memories by their path."""

from typing import Annotated, Literal
from urllib.parse import quote, unquote

from fastapi import APIRouter, Query

from app.core.resources import ResourcesDep
from app.gateways.anthropic.ids import MEMORY, MemoryId, StoreId, write_id
from app.gateways.anthropic.render import render_document
from app.gateways.anthropic.schemas import (
    DeletedMemory,
    Digest,
    MemoryPrefix,
    PageLimit,
    PageToken,
    PathPrefix,
    StoreMemoryCreate,
    StoreMemoryPage,
    StoreMemoryPatch,
    StoreMemoryRead,
    View,
)
from app.gateways.anthropic.stores import find_store, store_namespace
from app.identity.caller import MemoryReader, MemoryWriter
from app.identity.transaction import Transaction
from app.memory.documents import (
    change_document,
    create_document,
    delete_document,
    get_document,
    list_paths,
    load_documents,
)
from app.memory.ledger import Door

router = APIRouter(prefix="/v1/memory_stores/{memory_store_id}/memories", tags=["Anthropic"])
FULL_PAGE = 20
"""Items of a page that contains their content."""
Depth = Annotated[Literal["0", "1"], Query(description="1 lists direct children, and the directories beside them.")]


@router.post("")
async def create_store_memory(
    store_id: StoreId, body: StoreMemoryCreate, caller: MemoryWriter, resources: ResourcesDep, view: View = "basic"
) -> StoreMemoryRead:
    """Creates a memory at a path that is free."""
    namespace = await find_store(resources, caller, store_id, to_write=True)
    document = await create_document(resources, namespace, body.path, body.content, Door.ANTHROPIC)
    return render_document(store_id, document, full=view == "full")


@router.get("")
async def list_store_memories(
    store_id: StoreId,
    caller: MemoryReader,
    tx: Transaction,
    limit: PageLimit = 20,
    page: PageToken = None,
    path_prefix: PathPrefix = "/",
    depth: Depth = "0",
    view: View = "basic",
) -> StoreMemoryPage:
    """Lists the memories below a path, in the order of their paths."""
    namespace = await store_namespace(tx, caller, store_id)
    size = min(limit, FULL_PAGE) if view == "full" else limit
    after = unquote(page) if page else None
    found = await list_paths(tx, namespace, path_prefix, shallow=depth == "1", after=after, limit=size + 1)
    shown = found[:size]
    documents = await load_documents(tx, namespace, [each.path for each in shown if not each.is_directory])
    data: list[StoreMemoryRead | MemoryPrefix] = [
        MemoryPrefix(path=each.path)
        if each.is_directory
        else render_document(store_id, documents[each.path], full=view == "full")
        for each in shown
    ]
    return StoreMemoryPage(data=data, next_page=quote(shown[-1].path) if len(found) > size else None)


@router.get("/{memory_id}")
async def get_store_memory(
    store_id: StoreId, memory_id: MemoryId, caller: MemoryReader, tx: Transaction, view: View = "full"
) -> StoreMemoryRead:
    """Returns one memory."""
    namespace = await store_namespace(tx, caller, store_id)
    return render_document(store_id, await get_document(tx, namespace, memory_id), full=view == "full")


@router.post("/{memory_id}")
async def change_store_memory(
    store_id: StoreId,
    memory_id: MemoryId,
    body: StoreMemoryPatch,
    caller: MemoryWriter,
    resources: ResourcesDep,
    view: View = "basic",
) -> StoreMemoryRead:
    """Changes the content or the path, if the precondition holds."""
    namespace = await find_store(resources, caller, store_id, to_write=True)
    expected = body.precondition.content_sha256 if body.precondition else None
    document = await change_document(
        resources, namespace, memory_id, content=body.content, path=body.path, expected=expected
    )
    return render_document(store_id, document, full=view == "full")


@router.delete("/{memory_id}")
async def delete_store_memory(
    store_id: StoreId,
    memory_id: MemoryId,
    caller: MemoryWriter,
    resources: ResourcesDep,
    expected_content_sha256: Digest | None = None,
) -> DeletedMemory:
    """Deletes a memory, and the content of all its versions."""
    namespace = await find_store(resources, caller, store_id)
    await delete_document(resources, namespace, memory_id, expected=expected_content_sha256)
    return DeletedMemory(id=write_id(MEMORY, memory_id))
