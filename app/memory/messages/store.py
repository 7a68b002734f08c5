"""Store messages: committed, findable by their words at once, and by their meaning once they are indexed."""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from uuid import UUID

from app.core.errors import Unprocessable
from app.core.resources import Resources
from app.memory.edit import Owner
from app.memory.indexing import upserts_for_added
from app.memory.ledger import Kind, LedgerRepository, Memory, add_each_statement, read_outcome
from app.memory.messages.message import MessageDraft, StoredMessage
from app.profiles.repository import ProfileRepository
from app.profiles.resolve import find_profiles

MAX_WAIT_SECONDS = 10.0


async def store_messages(
    resources: Resources, owner: Owner, drafts: Sequence[MessageDraft], *, wait: bool = False
) -> list[StoredMessage]:
    """In order. With `wait`, the messages are also embedded, if that is possible within some seconds."""
    profiles = await _find_or_create_profiles(resources, owner, drafts)
    placed = [(each.namespace(owner.project_id, profiles), each.as_memory()) for each in drafts]
    statement = add_each_statement(owner.project_id, placed)
    rows = await resources.database.pipeline(owner.project_id, owner.user_id, statement)
    changes = [
        change
        for (namespace, new), row in zip(placed, rows, strict=True)
        for change in upserts_for_added(namespace, [new], [read_outcome(row)])
    ]
    await resources.index_queue.put(changes)
    stored = [
        # Without another version, the moment of creation is the version of a new row.
        StoredMessage.of_draft(draft, draft.created_at or row.updated_at)
        for draft, row in zip(drafts, rows, strict=True)
    ]
    if not wait:
        return stored
    names = list(dict.fromkeys(str(namespace) for namespace, _ in placed))
    await resources.index_queue.wait_until_indexed(owner.project_id, names, seconds=MAX_WAIT_SECONDS)
    known = await load_known(resources, owner, [each.id for each in drafts])
    return [known.get(each.id, each) for each in stored]


async def store_once(
    resources: Resources, owner: Owner, drafts: Sequence[MessageDraft], *, wait: bool = False
) -> list[StoredMessage]:
    """For drafts with the ids of a repeated request: what is stored already is returned and not stored again."""
    known = await load_known(resources, owner, [each.id for each in drafts])
    for draft in drafts:
        if draft.id in known and not _is_same(draft, known[draft.id]):
            raise Unprocessable("This Idempotency-Key was used for another message. Send each message with a new key.")
    new = [each for each in drafts if each.id not in known]
    known |= {each.id: each for each in await store_messages(resources, owner, new, wait=wait)} if new else {}
    return [known[each.id] for each in drafts]


async def load_known(resources: Resources, owner: Owner, ids: Sequence[UUID]) -> dict[UUID, StoredMessage]:
    async with resources.database.transaction(owner.project_id, owner.user_id) as tx:
        rows = await LedgerRepository(tx, owner.project_id).find_all(ids, Memory.kind == Kind.MESSAGE)
    return {row.id: StoredMessage.of_row(row) for row in rows}


def _is_same(draft: MessageDraft, stored: StoredMessage) -> bool:
    """Its age and state may differ, and Postgres rounds its importance."""
    return StoredMessage.of_draft(draft, stored.created_at) == replace(
        stored, state="pending", importance=draft.importance, archived_at=None
    )


async def _find_or_create_profiles(
    resources: Resources, owner: Owner, drafts: Sequence[MessageDraft]
) -> Mapping[str, UUID]:
    """The default profile of each user."""
    users = sorted({each.user_id for each in drafts if each.user_id is not None})
    if not users:
        return {}
    profiles = dict(await find_profiles(resources.database, owner.project_id, owner.user_id, users))
    if missing := [user for user in users if user not in profiles]:
        async with resources.database.transaction(owner.project_id, owner.user_id) as tx:
            repository = ProfileRepository(tx, owner.project_id)
            profiles |= {user: (await repository.default_of(user)).id for user in missing}
    return profiles
