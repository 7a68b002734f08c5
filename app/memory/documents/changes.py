"""Create, change and delete documents. A path is unique in its store: changes of one store run one after another."""

from uuid import UUID

from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncSession

from app.core.database.database import TextStatement
from app.core.database.deadlock import repeat_after_deadlock
from app.core.errors import Conflict
from app.core.ports import Role
from app.core.resources import Resources
from app.memory.documents.read import (
    Document,
    get_document,
    has_path,
    load_documents,
    path_of,
)
from app.memory.documents.versions import author_statement
from app.memory.edit import Owner, apply_change
from app.memory.forget import remove_from_index
from app.memory.indexing import upsert_for_new, upsert_for_row
from app.memory.ledger import DOCUMENT_PATH, Door, MemoryRepository, NewMemory, add_each_statement, add_if, count_added
from app.memory.namespace import Namespace

LOCK_STORE_SQL = text("select pg_advisory_xact_lock(hashtextextended(:namespace, 2))")
ADD_DOCUMENT_SQL = add_if(f"""not exists (
    select from memories m where m.project_id = :project_id and m.namespace = record.namespace and {has_path("m")}
      and {path_of("m")} = {path_of("record")})""")


async def create_document(resources: Resources, namespace: Namespace, path: str, content: str, door: Door) -> Document:
    """An agent writes documents, so they are no words of the user."""
    new = NewMemory(content, role=Role.ASSISTANT, metadata={DOCUMENT_PATH: path}, door=door)
    rows = await resources.database.pipeline(
        namespace.project_id,
        namespace.user_id,
        lock_statement(namespace),
        add_each_statement(namespace.project_id, [(namespace, new)], ADD_DOCUMENT_SQL),
    )
    if not rows:
        raise _path_taken()
    at, version_id = rows[0].updated_at, rows[0].version_id
    document = Document(new.id, content, path, created_at=at, updated_at=at, version_id=version_id)
    await resources.index_queue.put([upsert_for_new(namespace, new, at)])
    count_added(resources, namespace.project_id, 1)
    return document


@repeat_after_deadlock
async def change_document(
    resources: Resources,
    namespace: Namespace,
    document_id: UUID,
    *,
    content: str | None,
    path: str | None,
    expected: str | None,
) -> Document:
    """`expected` is the digest that the content must have now. A change that changes nothing adds no version."""
    async with resources.database.transaction(namespace.project_id, namespace.user_id) as tx:
        document = await _lock(tx, namespace, document_id, expected)
        if path is not None and path != document.path:
            await _reserve(tx, namespace, path)
        repository = MemoryRepository(tx, namespace.project_id, namespace.user_id)
        row = await repository.lock_to_change(document_id)
        values = {
            "content": document.content if content is None else content,
            "metadata": {**row.metadata_, DOCUMENT_PATH: path or document.path},
        }
        if values == {"content": row.content, "metadata": row.metadata_}:
            return document
        owner = Owner(namespace.project_id, namespace.user_id)
        row = await apply_change(tx, owner, document_id, values, moves_document=True)
        await tx.execute(*author_statement(namespace, document_id))
        document = await get_document(tx, namespace, document_id)
    await resources.index_queue.put([upsert_for_row(row)])
    return document


async def delete_document(
    resources: Resources, namespace: Namespace, document_id: UUID, *, expected: str | None
) -> None:
    async with resources.database.transaction(namespace.project_id, namespace.user_id) as tx:
        await _lock(tx, namespace, document_id, expected)
        repository = MemoryRepository(tx, namespace.project_id, namespace.user_id)
        deleted = await repository.delete_all([document_id])
        await tx.execute(*author_statement(namespace, document_id))
    await remove_from_index(resources, namespace.project_id, {document_id: str(namespace)}, deleted)


def lock_statement(namespace: Namespace) -> TextStatement:
    return LOCK_STORE_SQL, {"namespace": str(namespace)}


async def _lock(tx: AsyncSession, namespace: Namespace, document_id: UUID, expected: str | None) -> Document:
    await tx.execute(*lock_statement(namespace))
    document = await get_document(tx, namespace, document_id)
    if expected is not None and document.sha256 != expected:
        raise Conflict(
            "The memory has changed: its content has another `content_sha256`. Read it again, then repeat the request.",
            code="precondition_failed",
        )
    return document


async def _reserve(tx: AsyncSession, namespace: Namespace, path: str) -> None:
    await tx.execute(*lock_statement(namespace))
    if await load_documents(tx, namespace, [path]):
        raise _path_taken()


def _path_taken() -> Conflict:
    return Conflict("This store has a memory at this path. Choose another `path`, or update it.", code="path_taken")
