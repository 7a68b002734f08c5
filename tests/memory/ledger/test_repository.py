"""Memories that change because another one is deleted are indexed again."""

from app.core.resources import Resources
from app.memory.ledger import MemoryRepository
from app.memory.namespace import Namespace
from tests.memory.namespaces import add_memories, load_memory, wait_until_indexed


async def test_memory_that_loses_deleted_words_from_its_context_is_pending(
    resources: Resources, namespace: Namespace
) -> None:
    (first,) = await add_memories(resources, namespace, "I keep bees")
    (second,) = await add_memories(resources, namespace, "Three hives of them", context="I keep bees")
    (third,) = await add_memories(resources, namespace, "I fly gliders", context="I own a car")
    await wait_until_indexed(resources, namespace)
    async with resources.database.transaction(namespace.project_id) as tx:
        deleted = await MemoryRepository(tx, namespace.project_id).delete_all([first])
    assert deleted.without_context == [second]
    states = {each: await load_memory(resources, namespace, each) for each in (second, third)}
    assert {each: (row.state, row.context) for each, row in states.items() if row} == {
        second: ("pending", None),
        third: ("indexed", "I own a car"),
    }
