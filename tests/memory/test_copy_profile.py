"""A copy of a profile holds the same memories, with everything that clients may have said about them."""

import dataclasses
import datetime as dt

from app.core.ports import Role
from app.core.resources import Resources
from app.memory.copy_profile import copy_memories
from app.memory.ledger import Kind, Memory, MemoryRepository, NewMemory
from app.memory.namespace import Namespace
from app.memory.origin import Origin
from app.memory.remember import remember
from app.memory.supersession import Replacement, supersede
from app.profiles.repository import ProfileRepository
from tests.memory.namespaces import add_memories

CLIENT_FIELDS = (
    *("content", "kind", "role", "context", "metadata_", "categories", "importance", "immutable", "expires_on"),
    *("agent_id", "app_id", "run_id", "created_at", "source_message_id", "standing", "source", "door"),
)
OTHER_FIELDS = {
    *("archived_at", "replaced_by", "valid_from", "valid_until", "coexists_with", "access_count", "accessed_at")
}
"""They describe what happened to the original."""
MESSAGE_FIELDS = {"tenant_id", "conversation_id"}
"""Messages of the conversation store are not copied with a profile."""


async def new_profile(resources: Resources, namespace: Namespace, name: str = "Copy") -> Namespace:
    async with resources.database.transaction(namespace.project_id) as tx:
        profile = await ProfileRepository(tx, namespace.project_id).add(user_id=namespace.user_id, name=name)
    return dataclasses.replace(namespace, profile_id=profile.id)


async def load_all(resources: Resources, namespace: Namespace) -> list[Memory]:
    async with resources.database.transaction(namespace.project_id) as tx:
        page = await MemoryRepository(tx, namespace.project_id, namespace.user_id).page(
            50, None, Memory.namespace == str(namespace)
        )
    return list(page.results)


async def test_copy_of_a_memory_keeps_every_field_that_a_client_can_set(
    resources: Resources, namespace: Namespace
) -> None:
    tomorrow = dt.datetime.now(dt.UTC).date() + dt.timedelta(days=1)
    original = NewMemory(
        "I rent a flat in Lisbon",
        kind=Kind.EPISODE,
        role=Role.ASSISTANT,
        context="Where do you live?",
        origin=Origin(agent_id="agent", app_id="app", run_id="run"),
        metadata={"contract": {"rooms": 3}},
        categories=["home"],
        importance=0.75,
        immutable=True,
        expires_on=tomorrow,
        created_at=dt.datetime(2024, 7, 1, 12, 30, tzinfo=dt.UTC),
    )
    await remember(resources, namespace, [original])
    target = await new_profile(resources, namespace)
    assert await copy_memories(resources, namespace, target.profile_id or namespace.project_id) == (1, 0)
    (before,), (copy,) = await load_all(resources, namespace), await load_all(resources, target)
    assert {name: getattr(copy, name) for name in CLIENT_FIELDS} == {
        name: getattr(before, name) for name in CLIENT_FIELDS
    }
    assert (copy.metadata_, copy.immutable, copy.expires_on) == ({"contract": {"rooms": 3}}, True, tomorrow)
    assert copy.id != before.id


async def test_copy_holds_the_current_memory_of_a_chain_only(resources: Resources, namespace: Namespace) -> None:
    old, new = await add_memories(resources, namespace, "I visited Alder", "I visited Birch")
    async with resources.database.transaction(namespace.project_id) as tx:
        await supersede(tx, namespace.project_id, [Replacement(old, new)])
    target = await new_profile(resources, namespace)
    assert await copy_memories(resources, namespace, target.profile_id or namespace.project_id) == (1, 0)
    (copy,) = await load_all(resources, target)
    assert (copy.content, copy.replaced_by, copy.valid_from) == ("I visited Birch", None, None)


def test_every_field_of_a_new_memory_is_copied_or_describes_the_original() -> None:
    """A new field is not forgotten here."""
    written = {field.name for field in dataclasses.fields(NewMemory)} - {"id", "input", "origin", "updated_at"}
    copied = {name.removesuffix("_") for name in CLIENT_FIELDS} - {"agent_id", "app_id", "run_id"}
    assert written - OTHER_FIELDS - MESSAGE_FIELDS == copied
