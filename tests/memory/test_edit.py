"""A changed memory is pending until it is indexed, so that a crash between both cannot leave the old version there."""

from app.core.resources import Resources
from app.memory.edit import Owner, apply_change, change_memory
from app.memory.indexing import sweep
from app.memory.namespace import Namespace
from tests.memory.namespaces import add_memories, contents, load_memory, search, wait_until_indexed


async def test_memory_changed_before_a_crash_is_pending_until_the_sweep_indexes_it(
    resources: Resources, namespace: Namespace
) -> None:
    (memory_id,) = await add_memories(resources, namespace, "I keep bees")
    await wait_until_indexed(resources, namespace)
    # The process ends after the commit, before it indexes the change.
    async with resources.database.transaction(namespace.project_id) as tx:
        await apply_change(tx, Owner(namespace.project_id), memory_id, {"content": "I fly gliders"})
    changed = await load_memory(resources, namespace, memory_id)
    assert changed is not None
    assert changed.state == "pending"
    await sweep(resources, older_than_seconds=0)
    await wait_until_indexed(resources, namespace)
    indexed = await load_memory(resources, namespace, memory_id)
    assert indexed is not None
    assert indexed.state == "indexed"
    assert contents(await search(resources, namespace, "gliders")) == ["I fly gliders"]


async def test_change_of_one_field_keeps_the_others(resources: Resources, namespace: Namespace) -> None:
    (memory_id,) = await add_memories(resources, namespace, "I keep bees", metadata={"hives": 2})
    changed = await change_memory(resources, Owner(namespace.project_id), memory_id, {"content": "I keep goats"})
    assert (changed.content, changed.metadata_) == ("I keep goats", {"hives": 2})
    changed = await change_memory(resources, Owner(namespace.project_id), memory_id, {"metadata": {"goats": 3}})
    assert (changed.content, changed.metadata_) == ("I keep goats", {"goats": 3})
