"""Memories of other languages get their new words after an upgrade."""

from sqlalchemy import select

from app.core.resources import Resources
from app.memory.indexing import sweep
from app.memory.indexing.words_refresh import refresh_words
from app.memory.ledger import Memory
from app.memory.namespace import Namespace
from tests.memory.namespaces import add_memories, execute_sql_as_system, wait_until_indexed


async def test_words_of_other_languages_are_refreshed_once(resources: Resources, namespace: Namespace) -> None:
    texts = ("I like green tea", "Ich trinke gern grünen Tee", "Я пью зелёный чай")
    await add_memories(resources, namespace, *texts)
    await wait_until_indexed(resources, namespace)
    await execute_sql_as_system(resources, "delete from maintenance where name = 'words'")
    steps: list[None] = []

    async def refresh() -> int:
        return await refresh_words(resources, after_each_step=lambda: steps.append(None))

    assert await refresh() >= 2
    assert steps
    assert await states(resources, namespace) == dict(zip(texts, ("indexed", "pending", "pending"), strict=True))
    assert await refresh() == 0
    await sweep(resources, older_than_seconds=0)
    await wait_until_indexed(resources, namespace)
    assert set((await states(resources, namespace)).values()) == {"indexed"}


async def states(resources: Resources, namespace: Namespace) -> dict[str, str]:
    async with resources.database.transaction(namespace.project_id) as tx:
        return {each.content: each.state for each in await tx.scalars(select(Memory))}
