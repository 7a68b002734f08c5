import datetime as dt
from collections.abc import Sequence
from dataclasses import dataclass
from uuid import UUID

from sqlalchemy import ColumnElement
from sqlalchemy.ext.asyncio import AsyncSession

from app.core.database.pagination import PageRows
from app.core.errors import NotFound
from app.core.ports import IndexRemoval
from app.core.resources import Resources
from app.memory.archive import archive_row, restore_row
from app.memory.edit import Owner
from app.memory.filters import Filter, filter_transaction, to_sql
from app.memory.importance import importance_sql
from app.memory.ledger import Kind, LedgerRepository, Memory
from app.memory.messages.message import StoredMessage
from app.memory.namespace import MessageNamespace


class StoredMessageRepository(LedgerRepository):
    """The messages of one tenant of a project. Without `tenant_id`, those that were stored without one."""

    noun = "message"

    def __init__(
        self, tx: AsyncSession, project_id: UUID, user_id: str | None = None, tenant_id: str | None = None
    ) -> None:
        super().__init__(tx, project_id, user_id)
        self.namespace = MessageNamespace(project_id, tenant_id=tenant_id)

    def mine(self) -> list[ColumnElement[bool]]:
        return [*super().mine(), *of_tenant(self.namespace)]


@dataclass(frozen=True, slots=True)
class MessageFilter:
    """Conditions on the messages of a tenant."""

    conversation_id: str | None = None
    user_id: str | None = None
    role: str | None = None
    since: dt.datetime | None = None
    until: dt.datetime | None = None
    metadata: Filter | None = None
    importance_min: float | None = None

    def where(self, now: dt.datetime, half_life_days: float) -> list[ColumnElement[bool]]:
        given = {
            Memory.conversation_id: self.conversation_id,
            Memory.user_id: self.user_id,
            Memory.role: self.role,
        }
        conditions: list[ColumnElement[bool]] = []
        conditions += [column == value for column, value in given.items() if value is not None]
        if self.since is not None:
            conditions.append(Memory.created_at >= self.since)
        if self.until is not None:
            conditions.append(Memory.created_at <= self.until)
        if self.metadata is not None:
            conditions.append(to_sql(self.metadata))
        if self.importance_min is not None:
            conditions.append(importance_sql(now, half_life_days) >= self.importance_min)
        return conditions


def of_tenant(namespace: MessageNamespace) -> list[ColumnElement[bool]]:
    """The namespace alone would do. The columns are a second barrier."""
    return [
        Memory.namespace == str(namespace),
        Memory.kind == Kind.MESSAGE,
        Memory.tenant_id.is_not_distinct_from(namespace.tenant_id),
    ]


async def list_messages(
    resources: Resources,
    owner: Owner,
    tenant_id: str | None,
    wanted: MessageFilter,
    *,
    show_archived: bool,
    limit: int,
    cursor: str | None,
) -> PageRows[StoredMessage]:
    """Newest first."""
    conditions = wanted.where(dt.datetime.now(dt.UTC), resources.config.recency_half_life_days)
    if not show_archived:
        conditions.append(Memory.archived_at.is_(None))
    async with filter_transaction(resources.database, wanted.metadata, owner.project_id, owner.user_id) as tx:
        repository = StoredMessageRepository(tx, owner.project_id, owner.user_id, tenant_id)
        page = await repository.page(limit, cursor, *conditions)
    return PageRows([StoredMessage.of_row(row) for row in page.results], page.next)


async def load_message(resources: Resources, owner: Owner, tenant_id: str | None, message_id: UUID) -> StoredMessage:
    async with resources.database.transaction(owner.project_id, owner.user_id) as tx:
        repository = StoredMessageRepository(tx, owner.project_id, owner.user_id, tenant_id)
        return StoredMessage.of_row(await _get(repository, message_id))


async def archive_message(resources: Resources, owner: Owner, tenant_id: str | None, message_id: UUID) -> StoredMessage:
    """Does nothing if the message is archived already."""
    async with resources.database.transaction(owner.project_id, owner.user_id) as tx:
        repository = StoredMessageRepository(tx, owner.project_id, owner.user_id, tenant_id)
        row = await _get(repository, message_id)
        changes = await archive_row(repository, row)
    await resources.index_queue.put(changes)
    return StoredMessage.of_row(row)


async def restore_message(resources: Resources, owner: Owner, tenant_id: str | None, message_id: UUID) -> StoredMessage:
    """Does nothing if the message is not archived."""
    async with resources.database.transaction(owner.project_id, owner.user_id) as tx:
        repository = StoredMessageRepository(tx, owner.project_id, owner.user_id, tenant_id)
        row = await _get(repository, message_id)
        _, changes = await restore_row(repository, row)
    await resources.index_queue.put(changes)
    return StoredMessage.of_row(row)


async def delete_messages(
    resources: Resources, owner: Owner, tenant_id: str | None, message_ids: Sequence[UUID]
) -> None:
    """All of them, or none if one does not exist."""
    async with resources.database.transaction(owner.project_id, owner.user_id) as tx:
        repository = StoredMessageRepository(tx, owner.project_id, owner.user_id, tenant_id)
        for message_id in message_ids:
            await _get(repository, message_id)
        # No context of another row repeats the words of a message.
        await repository.delete_replaced(message_ids)
    namespace = str(repository.namespace)
    await resources.index_queue.put([IndexRemoval(each, owner.project_id, namespace) for each in message_ids])


async def _get(repository: StoredMessageRepository, message_id: UUID) -> Memory:
    row = await repository.find(message_id)
    if row is None:
        raise NotFound(
            f"There is no message {message_id} here. A message that was stored with a `tenant_id` is found with the"
            " same `tenant_id` only."
        )
    return row
