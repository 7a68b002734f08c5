"""Store messages: committed, findable by their words at once, and by their meaning once they are indexed."""

from collections.abc import Sequence
from uuid import UUID

from app.core.resources import Resources
from app.memory.edit import Owner
from app.memory.indexing import upserts_for_added
from app.memory.ledger import LedgerRepository, Memory, add_each_statement, read_outcome
from app.memory.messages.message import MessageDraft
from app.memory.namespace import MessageNamespace
from app.profiles.repository import ProfileRepository
from app.profiles.resolve import find_profiles

MAX_WAIT_SECONDS = 10.0


async def store_messages(
    resources: Resources, owner: Owner, drafts: Sequence[MessageDraft], *, wait: bool = False
) -> list[Memory]:
    """The stored messages in order. With `wait`, they are also embedded if that is possible within some seconds."""
    profiles = await _find_or_create_profiles(
        resources, owner, sorted({each.user_id for each in drafts if each.user_id})
    )
    placed = [(each.namespace(owner.project_id, profiles), each.as_memory()) for each in drafts]
    statement = add_each_statement(owner.project_id, placed)
    rows = await resources.database.pipeline(owner.project_id, owner.user_id, statement)
    changes = [
        change
        for (namespace, new), row in zip(placed, rows, strict=True)
        for change in upserts_for_added(namespace, [new], [read_outcome(row)])
    ]
    await resources.index_queue.put(changes)
    if wait:
        await _wait_until_indexed(resources, owner.project_id, [namespace for namespace, _ in placed])
    return await _load_in_order(resources, owner, [each.id for each in drafts])


async def _find_or_create_profiles(resources: Resources, owner: Owner, users: Sequence[str]) -> dict[str, UUID]:
    """The default profile of each user."""
    if not users:
        return {}
    profiles = dict(await find_profiles(resources.database, owner.project_id, owner.user_id, users))
    if missing := [user for user in users if user not in profiles]:
        async with resources.database.transaction(owner.project_id, owner.user_id) as tx:
            repository = ProfileRepository(tx, owner.project_id)
            profiles |= {user: (await repository.default_of(user)).id for user in missing}
    return profiles


async def _wait_until_indexed(resources: Resources, project_id: UUID, namespaces: Sequence[MessageNamespace]) -> None:
    names = list(dict.fromkeys(map(str, namespaces)))
    await resources.index_queue.wait_until_indexed(project_id, names, seconds=MAX_WAIT_SECONDS)


async def _load_in_order(resources: Resources, owner: Owner, ids: Sequence[UUID]) -> list[Memory]:
    async with resources.database.transaction(owner.project_id, owner.user_id) as tx:
        rows = {row.id: row for row in await LedgerRepository(tx, owner.project_id).find_all(ids)}
    return [rows[each] for each in ids if each in rows]
