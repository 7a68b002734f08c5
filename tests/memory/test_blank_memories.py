"""No function of the engine stores a memory without visible characters."""

import pytest

from app.core.errors import BadRequest
from app.core.resources import Resources
from app.memory.copy_profile import copy_memories
from app.memory.edit import Owner, change_memory
from app.memory.namespace import Namespace
from tests.memory.namespaces import add_memories, execute_sql
from tests.memory.test_copy_profile import load_all, new_profile

MAKE_BLANK = "update memories set content = E' \\u200b' where id = :id"


@pytest.mark.parametrize("text", ["", " \n", "\u200b\ufeff"], ids=["empty", "spaces", "invisible"])
async def test_ledger_refuses_blank_memories(resources: Resources, namespace: Namespace, text: str) -> None:
    with pytest.raises(BadRequest, match="blank"):
        await add_memories(resources, namespace, "I keep bees", text)
    assert await load_all(resources, namespace) == []


async def test_change_to_a_blank_text_is_refused(resources: Resources, namespace: Namespace) -> None:
    (memory_id,) = await add_memories(resources, namespace, "I keep bees")
    with pytest.raises(BadRequest, match="visible characters"):
        await change_memory(resources, Owner(namespace.project_id), memory_id, {"content": " \u200b"})
    assert [each.content for each in await load_all(resources, namespace)] == ["I keep bees"]


async def test_copy_of_a_profile_leaves_out_blank_memories(resources: Resources, namespace: Namespace) -> None:
    _, memory_id = await add_memories(resources, namespace, "I keep bees", "I keep goats")
    await execute_sql(resources, namespace, MAKE_BLANK, id=memory_id)
    target = await new_profile(resources, namespace)
    assert target.profile_id
    assert await copy_memories(resources, namespace, target.profile_id) == (1, 0)
    assert [each.content for each in await load_all(resources, target)] == ["I keep bees"]
